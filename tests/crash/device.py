"""A device of the crash tests: the real install process, and the test as its net process and
its supervisor. Nothing waits for time to pass: each step follows from a packet, or from the
process having ended."""
import ctypes
import ctypes.util
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import struct
import subprocess
import time

from state import Wrong, digest

HEAD = struct.Struct('<IIQQQQ32s72s')
(WANT, MANIFEST, FETCH, STOP, PURGE, REPORT, PROGRESS, HELLO, UP, DOWN, DOC, SPOOLED, CHUNKS,
 FETCHED, FAILED) = range(15)  # IPC_TYPES of agent/core/ipc.h
TOPICS = {'fresh': 2, 'catalog': 1, 'assign': 6, 'order': 5, 'release': 3, 'grant': 4}
REBOOT = 4  # exit status of install
DEADLINE_S = 40
RESTARTS_MAX = 12
HEALED_AFTER = 4  # restarts: then somebody made room
NO_ORDER = 71

SODIUM = ctypes.CDLL(ctypes.util.find_library('sodium'))


def packet(kind, code=0, a=0, b=0, c=0, digest=bytes(32), payload=b''):
    return HEAD.pack(kind, code, a, b, c, 0, digest, b'') + payload


def read_report(envelope, public_key):
    """A report, its signature checked (proto/wire/envelope.h)."""
    length = struct.unpack_from('<I', envelope, 22)[0]
    payload = envelope[26:26 + length]
    message = (b'OTA1-sig\0' + envelope[4:22] + struct.pack('<Q', length) + payload)
    signature = envelope[26 + length + 1 + 16:][:64]
    if SODIUM.crypto_sign_verify_detached(signature, message,
                                          ctypes.c_ulonglong(len(message)), public_key) != 0:
        raise Wrong('a report whose signature does not verify')
    return json.loads(payload)


class Kit:
    """What crash_kit made: images, documents, keys, the spool."""

    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        self.images = {n: (self.dir / f'{n}.img').read_bytes() for n in ('old', 'new', 'next')}
        self.digests = {digest(v): n for n, v in self.images.items()}
        self.public_key = bytes.fromhex((self.dir / 'key.pub').read_text())
        self.says = {d.name: {doc: (d / doc).read_bytes() for doc in TOPICS}
                     for d in (self.dir / 'say').iterdir()}

    def name_of(self, content):
        """Which image these bytes are, or None."""
        return next((n for n, v in self.images.items() if v == content), None)


CONFIG = '''\
device: gw-1
fleet: demo
product: gateway
hardware: rev-b
root: {kit}/root
device_key: {kit}/key
broker: {{url: 'tcp://127.0.0.1:1'}}
state_dir: disk/state
spool: {{dir: {kit}/spool, max: 16M}}
deadlines: {{hook: 20s}}
{hooks}{boot}{slot}
'''

# The hook looks when the test lets it: what else the process does has happened then, so that
# a run has the same calls each time. There is room at the gate for hooks that were orphaned.
SICK = '#!/bin/sh\nread go <{gate}\n[ "$SLUICE_VERSION" = 1.0 ]\n'
GO = b'go\n' * 50

TOOL = '''\
#!/bin/sh
export CRASH_DIR={CRASH_DIR} CRASH_CONTROL={CRASH_CONTROL} CRASH_LOG={CRASH_LOG}
export CRASH_CMDLINE={CRASH_CMDLINE} LD_PRELOAD={LD_PRELOAD}
exec {command} "$@"
'''


class Device:
    """One device in a folder of its own; its disk is `disk` below it."""

    def __init__(self, kit, folder, agent, backend, golden=None):
        """golden makes its disk at the path it is given; without, it is a new one."""
        self.kit, self.agent, self.backend = kit, agent, backend
        self.dir = pathlib.Path(folder)
        self.disk = self.dir / 'disk'
        self.dir.mkdir(parents=True, exist_ok=True)
        if golden:
            golden(self.disk)
        else:
            self.disk.mkdir()
            backend.prepare(kit, self.disk)
        self.process = self.socket = None
        self.boot = 0
        self.restarts = 0
        self.reports = []
        self.prefix = []  # a command that runs the agent
        self.says = {}
        self.shim = self.gate = None
        self.log = self.dir / 'stderr'

    def configure(self, sick=False):
        """Write its configuration; sick: what is not the first image is not healthy."""
        if sick:
            (self.dir / 'hooks').mkdir()
            os.mkfifo(self.dir / 'go')
            self.gate = os.open(self.dir / 'go', os.O_RDWR)
            (self.dir / 'hooks/health').write_text(SICK.format(gate=self.dir / 'go'))
            (self.dir / 'hooks/health').chmod(0o755)
        text = CONFIG.format(kit=self.kit.dir, hooks='hooks: hooks\n' if sick else '',
                             boot=self.backend.boot_config,
                             slot=self.backend.config.format(
                                 kit=self.kit.dir, length=len(self.kit.images['old'])))
        (self.dir / 'agent.yaml').write_text(text)
        self.backend.power_on(self)

    # ---- the process

    def start(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with open(self.log, 'ab') as log, theirs:
            self.process = subprocess.Popen(
                [*self.prefix, self.agent, 'install', '--fd', str(theirs.fileno()), '--boot',
                 f'boot-{self.boot}', '-c', self.dir / 'agent.yaml'],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment())
        self.socket = ours
        self.say(packet(HELLO))
        self.say(packet(UP, payload=b'\1' + bytes(15)))
        self.tell()

    def environment(self):
        """Of the agent. It hands down nothing of it but PATH, so the commands that it runs
        are led into the shim by a script each."""
        if not self.shim:
            return None
        env = self.shim.environment()
        if self.backend.tools:
            folder = self.dir / 'bin'
            folder.mkdir(exist_ok=True)
            for name, command in self.backend.tools.items():
                (folder / name).write_text(TOOL.format(command=command, **env))
                (folder / name).chmod(0o755)
            env['PATH'] = f'{folder}:{env["PATH"]}'
        return env

    def tell(self):
        """Deliver the documents there are."""
        for name, envelope in self.says.items():
            self.say(packet(DOC, TOPICS[name], payload=envelope))

    def say(self, data):
        try:
            self.socket.send(data)
        except OSError:
            pass  # it is gone: seen when we listen

    def reap(self):
        """The end of the process as a status: negative for a signal."""
        status = self.process.wait(DEADLINE_S)
        self.socket.close()
        self.process = self.socket = None
        return status

    def kill(self):
        if self.process:
            self.process.kill()
            self.reap()

    def pid(self):
        """Of the agent itself, which a command of `prefix` runs as its child."""
        pid = self.process.pid
        if not self.prefix:
            return pid
        return int(pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text().split()[0])

    def end(self):
        """End it as it is told to."""
        if self.process:
            os.kill(self.pid(), signal.SIGTERM)
            status = self.reap()
            if status != 0:
                raise Wrong(f'told to end, it ended with {status}')

    # ---- net

    def hear(self, deadline):
        """Take one packet, and return what it was; None if the process has ended."""
        ready, _, _ = select.select([self.socket], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            last = self.reports[-1] if self.reports else {}
            raise Wrong(f'does not settle in {DEADLINE_S} s: '
                        f'{last.get("state")} {last.get("error_text")!r}')
        try:
            data = self.socket.recv(70000)
        except ConnectionResetError:
            data = b''
        if not data:
            return None
        kind, _, _, _, _, _, digest, _ = HEAD.unpack_from(data)
        if kind == REPORT:
            self.take_report(read_report(data[HEAD.size:], self.kit.public_key))
        elif kind == MANIFEST:
            self.say(packet(SPOOLED, digest=digest))
        elif kind == FETCH:
            self.say(packet(FETCHED, a=4, b=4, c=50000, digest=digest))
        return kind

    def take_report(self, report):
        last = self.reports[-1] if self.reports else None
        self.reports.append(report)
        running = bytes.fromhex(report['running'])
        if any(running) and running not in self.kit.digests:
            raise Wrong(f'it says that it runs {report["running"][:8]}, which is no image')
        if last:
            for field in ('boot', 'floor', 'fresh_seq', 'order_seq', 'assign_seq', 'root'):
                if report[field] < last[field]:
                    raise Wrong(f'{field} went back from {last[field]} to {report[field]}')
            if report['counter'] <= last['counter']:
                raise Wrong(f'report {report["counter"]} after {last["counter"]}')
        if report['state'] == 'proving' and self.gate:
            os.write(self.gate, GO)
        if report['error'] == 55:
            raise Wrong(f'state was lost: {report["error_text"]}')

    def run(self, done, says, again=None):
        """Supervise it until done(report), or until the shim has killed it: then 'struck'.
        Where it gave up, and said so, the order is given once more: `again`."""
        deadline = time.monotonic() + DEADLINE_S
        self.says = self.kit.says[says] if says else {}
        heard, fence = len(self.reports), False
        if not self.process:
            self.start()
        while True:
            kind = self.hear(deadline)
            if kind is None:
                status, fence = self.reap(), False
                if status == -signal.SIGKILL and self.shim and self.shim.fired:
                    return 'struck'
                self.ended(status)
                self.start()
            if fence and kind == WANT:
                return 'done'
            if len(self.reports) == heard:
                continue
            heard = len(self.reports)
            report = self.reports[-1]
            if done(report):  # what it still does is done when it answers once more
                fence = True
                self.say(packet(HELLO))
                continue
            if report['state'] in ('failed', 'idle') and report['error'] and again:
                if self.shim:
                    self.shim.heal()
                self.says, again = self.kit.says[again], None
                self.tell()
            elif report['wait'] not in (0, NO_ORDER):
                self.restart('waits')

    def ended(self, status):
        """What the supervisor makes of an end that nobody forced."""
        if status == REBOOT:
            self.power_on()
        elif status == 1:
            self.count_restart('ends with 1')
        else:
            raise Wrong(f'ended with status {status}: {self.last_words()}')

    def count_restart(self, why):
        self.restarts += 1
        if self.shim and self.restarts == HEALED_AFTER:
            self.shim.heal()
        if self.restarts > RESTARTS_MAX:
            raise Wrong(f'{why}, {self.restarts} times: {self.last_words()}')

    def restart(self, why):
        """It would try again in a minute; so it is started again now."""
        self.count_restart(why)
        self.kill()
        self.start()

    def last_words(self):
        lines = self.log.read_text(errors='replace').strip().splitlines()
        return lines[-1] if lines else ''

    def power_on(self):
        self.boot += 1
        self.backend.power_on(self)

    def reboot(self):
        """Power off, power on."""
        self.kill()
        self.power_on()

    def remove(self):
        self.kill()
        if self.shim:
            self.shim.close()
        if self.gate:
            os.close(self.gate)
        shutil.rmtree(self.dir, ignore_errors=True)


def environment(build):
    """The programs of a build."""
    build = pathlib.Path(build)
    return {'agent': build / 'agent/sluice-agent', 'shim': build / 'tests/crash/crash_shim.so',
            'kit': build / 'tests/crash/crash_kit', 'disk': build / 'tests/crash/crash_disk'}


def make_kit(build, folder, kib):
    subprocess.run([environment(build)['kit'], folder, str(kib)], check=True)
    return Kit(folder)


def scratch():
    """Where sandboxes lie: in memory where there is enough of it."""
    shm = pathlib.Path('/dev/shm')
    if os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 1 << 29:
        return shm
    return pathlib.Path(os.environ.get('TMPDIR', '/tmp'))
