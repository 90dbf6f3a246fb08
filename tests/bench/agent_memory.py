#!/usr/bin/env python3
"""Memory of an agent's processes during a real update of a root file system image.

Starts a private fleet of one gateway, updates it between the two images of deploy/images
(151 MB each), and prints the peak resident memory of `net` and `install`, idle and at their
peak, with the CPU time they took; beside them, as a baseline, what the stock `xdelta3`
program holds to apply a delta of the same pair.

With --block the slots are of type `block`, in loop devices where root runs this and in plain
files else; the images are made 235 MiB long by noise behind them, and both processes together are
to stay below 24 MB at every moment. The decoder, a third process while it lasts, is not counted.

usage: tests/bench/agent_memory.py [--block] [BUILD]"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / 'deploy'))
from lab import HERE, Lab, wait_for  # noqa: E402

ROLES = ('net', 'install')
LEN = 235 << 20  # bytes of an image with --block
BOTH_MAX = 24_000_000  # bytes, of both processes
ROLLOUT = '''\
rollout: bench
release: {product: gateway, version: "2"}
stages: [{cohort: all, share: 100%}]
'''


def status_kib(pid, key):
    """A line of /proc/PID/status in KiB; 0 when the process is gone."""
    try:
        for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
            if line.startswith(key + ':'):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


class Watch(threading.Thread):
    """Looks at both processes every 20 ms and keeps the highest peak of each, over the
    restart that an update brings."""

    def __init__(self, agent):
        super().__init__(daemon=True)
        self.agent, self.peak, self.over = agent, dict.fromkeys(ROLES, 0), threading.Event()
        self.both = 0  # KiB, at one moment

    def run(self):
        while not self.over.wait(0.02):
            pids = [self.agent.role_pid(role) for role in ROLES]
            for role, pid in zip(ROLES, pids):
                if pid:
                    self.peak[role] = max(self.peak[role], status_kib(pid, 'VmHWM'))
            self.both = max(self.both, sum(status_kib(pid, 'VmRSS') for pid in pids if pid))


def baseline_kib(old, new, folder):
    """Peak memory of `xdelta3 -d` for the same pair."""
    delta = folder / 'stock.vcdiff'
    subprocess.run(['xdelta3', '-e', '-f', '-S', 'none', '-s', old, new, delta], check=True)
    program = ('import resource,subprocess,sys;subprocess.run(sys.argv[1:],check=True);'
               'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)')
    done = subprocess.run([sys.executable, '-c', program, 'xdelta3', '-d', '-f', '-s', old, delta,
                           folder / 'stock.out'], capture_output=True, text=True, check=True)
    return int(done.stdout)


def longer(images, folder):
    """The images with so much noise behind, in all the same, that they are LEN long."""
    noise = os.urandom(LEN)
    made = []
    for n, image in enumerate(images[:2]):
        path = folder / f'image-{n}'
        shutil.copy(image, path)
        with open(path, 'ab') as file:
            file.write(noise[file.tell():])
        made.append(path)
    return made


class Slots:
    """Two slots of type `block`, the first with the image that runs."""

    def __init__(self, folder, image):
        self.loops, self.paths = [], []
        for name in 'ab':
            path = folder / f'{name}.part'
            subprocess.run(['fallocate', '-l', str(LEN + (16 << 20)), path], check=True)
            if name == 'a':
                subprocess.run(['dd', f'if={image}', f'of={path}', 'bs=1M', 'conv=notrunc',
                                'status=none'], check=True)
            if os.geteuid() == 0:
                done = subprocess.run(['losetup', '-f', '--show', path], check=True,
                                      capture_output=True, text=True)
                path = done.stdout.strip()
                self.loops.append(path)
            self.paths.append(path)

    def config(self):
        return (f'  type: block\n  a: {self.paths[0]}\n  b: {self.paths[1]}\n'
                f'  initial_size: {LEN}\n  initial_version: "1"\n  initial_counter: 1\n')

    def close(self):
        for loop in self.loops:
            subprocess.run(['losetup', '-d', loop], check=True)


def main():
    words = [w for w in sys.argv[1:] if w != '--block']
    build = pathlib.Path(words[0] if words else TOP / 'build')
    done = subprocess.run([HERE / 'images', '--json'], stdout=subprocess.PIPE, check=True)
    images = [i['path'] for i in json.loads(done.stdout)['images']]
    with tempfile.TemporaryDirectory() as folder:
        folder, slots = pathlib.Path(folder), None
        if '--block' in sys.argv:
            images = longer(images, folder)
            slots = Slots(folder, images[0])
        lab = Lab(folder / 'lab', build=build, server_more='patches:\n  level: 3\n')
        try:
            measure(lab, images, slots)
        finally:
            lab.stop()
            if slots:
                slots.close()
        stock = baseline_kib(images[0], images[1], folder)
    print(f'{"xdelta3 -d, same pair":<24} {stock / 1024:8.1f} MiB')


def measure(lab, images, slots):
    lab.init()
    lab.start_broker()
    lab.start_sluiced()
    lab.cli('apply', lab.write('fleet.yaml', 'fleet: demo\ncohorts: [{name: all}]\n'))
    for n in (1, 2):
        lab.cli('release', 'create', images[n - 1], '--product', 'gateway', '--version', n,
                '--hardware', 'gw-100')
    agent = lab.add_agent('gw-1', image=None if slots else images[0], version='1', counter=1)
    if slots:
        config = agent.dir / 'agent.yaml'
        text = config.read_text()
        start, end = text.index('slot:\n') + 6, text.index('reboot:')
        config.write_text(text[:start] + slots.config() + text[end:])
    agent.start()
    wait_for('a report', lambda: lab.device('gw-1')['last_report_s'], 60)
    time.sleep(2)  # what is measured here is rest itself
    idle = {role: status_kib(agent.role_pid(role), 'VmRSS') for role in ROLES}
    watch = Watch(agent)
    watch.start()
    lab.cli('apply', lab.write('bench.yaml', ROLLOUT))
    lab.cli('approve', 'bench')
    lab.wait_state('bench', 'completed', seconds=600)
    watch.over.set()
    for role in ROLES:
        print(f'{role + ", idle":<24} {idle[role] / 1024:8.1f} MiB')
        print(f'{role + ", peak":<24} {watch.peak[role] / 1024:8.1f} MiB  '
              f'({watch.peak[role] / max(1, idle[role]):.2f} of idle)')
    print(f'{"both, at one moment":<24} {watch.both / 1024:8.1f} MiB')
    if slots and watch.both * 1024 >= BOTH_MAX:
        print(f'MISSED: wanted below {BOTH_MAX / 1e6:.0f} MB')
    for patch in lab.rollout('bench')['patches']:
        print(f'patch of {patch["bytes"] / 1e6:.1f} MB for an image of '
              f'{pathlib.Path(images[1]).stat().st_size / 1e6:.1f} MB')


main()
