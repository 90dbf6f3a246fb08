"""A network of our own for a test, as whoever runs it: the broker on one side, devices on the
other, and tests/e2e/link.c between them. Whoever imports this finds itself started again in
namespaces where it may do all that."""
import os
import pathlib
import subprocess
import sys

from common import BUILD

INSIDE = 'SLUICE_TEST_NETWORK'
NEAR, FAR = '10.99.0.1', '10.99.0.2'  # the broker's side, the devices' side
BOTH_WAYS, UP, DOWN, RESET = 3, 2, 1, 4  # up is from the device to the broker


def enter():
    """Start this program again with a network and mounts of its own, once. False where that
    cannot be had: in a chroot, say, only root gets them."""
    if INSIDE in os.environ:
        return True
    unshare = ['unshare', '--map-root-user', '--net', '--mount']
    if subprocess.run([*unshare, 'true'], stderr=subprocess.DEVNULL).returncode != 0:
        return False
    os.environ[INSIDE] = '1'
    os.execvp('unshare', [*unshare, sys.executable, *sys.argv])


def run(*words, within=None):
    enter_first = ['nsenter', '--target', str(within), '--net'] if within else []
    subprocess.run([*enter_first, *words], check=True, stdout=subprocess.DEVNULL)


class Network:
    """Two networks and the link between them, perfect to begin with."""

    def __init__(self, directory, seed):
        self.hosts = pathlib.Path(directory) / 'hosts'
        self.names({})
        run('mount', '--bind', str(self.hosts), '/etc/hosts')
        self.places = [subprocess.Popen(
            ['unshare', '--net', 'setpriv', '--pdeathsig', 'KILL', 'sleep', 'infinity'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
        self.far, self.middle = (p.pid for p in self.places)
        for pid in (self.far, self.middle):
            while os.readlink(f'/proc/{pid}/ns/net') == os.readlink('/proc/self/ns/net'):
                pass  # until unshare has done so
        run('ip', 'link', 'set', 'lo', 'up')
        run('ip', 'link', 'set', 'lo', 'up', within=self.far)
        self._wire('near', None, NEAR)
        self._wire('far', self.far, FAR)
        self.link = subprocess.Popen(
            ['nsenter', '--target', str(self.middle), '--net', BUILD / 'tests/e2e/link',
             'to-near', 'to-far', str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)
        self.set()

    def _wire(self, name, within, address):
        """One interface at an address; its other end where the link takes it. Checksums are
        made before frames leave, or a raw socket would see none."""
        run('ip', 'link', 'add', name, 'type', 'veth', 'peer', f'to-{name}', 'netns',
            str(self.middle), within=within)
        run('ethtool', '-K', name, 'tx', 'off', 'tso', 'off', 'gso', 'off', within=within)
        run('ip', 'address', 'add', f'{address}/24', 'dev', name, within=within)
        run('ip', 'link', 'set', name, 'up', within=within)
        run('ip', 'link', 'set', f'to-{name}', 'up', within=self.middle)

    def names(self, names):
        """What names mean, for all here."""
        text = ''.join(f'{address} {name}\n' for name, address in names.items())
        self.hosts.write_text(f'127.0.0.1 localhost\n{text}')

    def put(self, process):
        """Let a program of the lab run on the far side from its next start."""
        process.words = ['nsenter', '--target', str(self.far), '--net', *process.words]

    def set(self, delay_ms=0, jitter_ms=0, loss=0, twice=0, damage=0, kbit=0, cut=0):
        """Set the link anew; loss, twice and damage in permille. Gives the counts so far."""
        self.link.stdin.write(f'{delay_ms} {jitter_ms} {loss} {twice} {damage} {kbit} {cut}\n')
        self.link.stdin.flush()
        words = self.link.stdout.readline().split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def close(self):
        self.link.stdin.close()
        self.link.wait(10)
        self.link.stdout.close()
        for place in self.places:
            place.kill()
            place.wait(10)
        run('umount', '/etc/hosts')
