"""One virtual gateway and what stands on its other end: a Mosquitto, a sluiced and a fleet of
one on this machine, as in deploy/lab.py."""
import os
import pathlib
import shutil
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / 'deploy'))
sys.path.insert(0, str(HERE))
import disk as disks  # noqa: E402
import loaders  # noqa: E402
from debian import TOP, Failed  # noqa: E402
from lab import Lab, LabError, run, wait_for  # noqa: E402,F401
from system import System  # noqa: E402
from vm import Machine  # noqa: E402

BUILD = pathlib.Path(os.environ.get('SLUICE_BUILD', TOP / 'build'))
RUNS = TOP / 'build/qemu-runs'  # consoles, logs and disks of the last run of each test
NAME = 'gw-1'
HARDWARE = 'qemu-arm64'
BOOT_S = 240  # from power on to the agent's first report, on a busy machine
UPDATE_S = 480  # from the order to the confirmed image

AGENT = '''\
device: {name}
fleet: demo
product: gateway
hardware: {hardware}
root: {place}/root.doc
device_key: {place}/device.key
state_dir: {state}
spool: {{dir: {spool}, max: 32M}}
user: sluice-net
hooks: /etc/sluice/hooks
{slots}
reboot: [{reboot}]
broker:
  url: {url}
  ca: {place}/tls/ca.pem
  cert: {place}/tls/device.pem
  key: {place}/tls/device.key
  keepalive: 5s
log: info
{more}'''

ROLLOUT = '''\
rollout: {name}
release: {{product: gateway, version: {version}}}
stages:
  - {{name: all, cohort: fleet, share: 100%}}
gates: {{success: 100%, silence: {silence}}}
deadlines: {{fetch: 5m, install: 5m, prove: {prove}}}
'''


class Gateway(unittest.TestCase):
    """Each test has a gateway with a fresh disk, and a fleet. Subclasses say which boot
    loader."""

    loader = 'uboot'
    server_more = 'patches:\n  level: 3\n'
    agent_more = fleet_more = ''  # lines for agent.yaml, and for the file of the fleet
    places = {'place': '/data/sluice', 'state': '/data/sluice/state',
              'spool': '/data/sluice/spool', 'reboot': '/sbin/reboot'}
    make_system = System

    def setUp(self):
        self.boot = loaders.LOADERS[self.loader]
        self.dir = RUNS / type(self).__name__.lower() / self._testMethodName
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        self.system = self.make_system()
        self.lab = Lab(self.dir / 'lab', build=BUILD, server_more=self.server_more)
        self.addCleanup(self.lab.stop)
        self.machine = None
        self.releases = 0
        self._start_fleet()

    def _start_fleet(self):
        self.lab.init()
        certs = self.lab.dir / 'broker/certs'
        for old in ('server.pem', 'server.key'):  # the guest knows the broker by a name
            (certs / old).unlink()
        run(TOP / 'deploy/mosquitto/make-certs', certs, '--server', 'broker.test')
        self.lab.start_broker()
        self.lab.start_sluiced()
        self.lab.cli('apply', self.lab.write(
            'fleet.yaml', 'fleet: demo\ncohorts:\n  - {name: fleet}\n' + self.fleet_more))
        self.lab.url = f'ssl://broker.test:{self.lab.port}'
        self.agent = self.lab.add_agent(NAME, hardware=HARDWARE)
        self.first = self.publish(newer=False)

    # ---- what the slots hold; for those that boot, unless a subclass says otherwise ----

    def make_image(self, version, newer, changes):
        """Path of the image of a release."""
        return self.boot.image(self.system, version, newer, changes)

    def boots_from(self, release):
        """Path of the image that is in slot a of the disk."""
        return release['path']

    def slots(self, version, counter):
        """What agent.yaml says of them."""
        return self.boot.agent(self.system.mib, version, counter)

    def fill(self, folder, release):
        """Lay more into the device's folder of the data partition."""

    # ---- a fleet of one --------------------------------------------------------------

    def publish(self, newer=True, changes=None):
        """A new release of a new image: {version, path, image: its digest, ...}"""
        self.releases += 1
        version = f'{self.releases}.0'
        path = self.make_image(version, newer, changes)
        release = self.lab.cli('release', 'create', path, '--product', 'gateway', '--version',
                               version, '--hardware', HARDWARE)
        return {'version': version, 'path': path, **release}

    def provision(self, folder, release, counter):
        """A fresh disk that runs a release, as a factory makes it."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / 'data', ignore_errors=True)
        device = folder / 'data/sluice'
        for name in ('spool', 'state', 'tls'):
            (device / name).mkdir(parents=True)
        for name in ('root.doc', 'device.key'):
            shutil.copy(self.agent.dir / name, device / name)
        for source, name in (('ca.pem', 'ca.pem'), (f'{NAME}.pem', 'device.pem'),
                             (f'{NAME}.key', 'device.key')):
            shutil.copy(self.agent.dir / source, device / 'tls' / name)
        (device / 'agent.yaml').write_text(AGENT.format(
            name=NAME, hardware=HARDWARE, url=self.lab.url,
            slots=self.slots(release['version'], counter),
            more=self.agent_more, **self.places))
        self.fill(device, release)
        disks.make_data(folder / 'data.img', folder / 'data')
        shutil.rmtree(folder / 'loader', ignore_errors=True)
        self.boot.prepare(self.system, folder / 'loader')
        disks.make_fat(folder / 'loader.img', folder / 'loader')
        disks.make_disk(folder / 'disk.img', folder / 'loader.img',
                        self.boots_from(release), folder / 'data.img')
        for part in ('data.img', 'loader.img'):
            (folder / part).unlink()
        return self.open_disk(folder / 'disk.img')

    def open_disk(self, path):
        return disks.FileDisk(path)

    # ---- one test --------------------------------------------------------------------

    def power_on(self):
        """A new gateway in slot a, that has reported."""
        disk = self.provision(self.dir, self.first, 1)
        self.machine = Machine(disk, self.dir, self.boot.firmware)
        self.addCleanup(self.machine.cut)
        began = time.time()
        self.machine.power_on()
        at, _ = self.machine.wait_line(r'guest: up version=(\S+)', BOOT_S)
        self.report_since(began)
        self.say(f'booted in {at:.1f} s, reported after '
                 f'{time.monotonic() - self.machine.started:.1f} s')

    def say(self, text):
        print(f'  {self._testMethodName}: {text}', flush=True)

    def report_since(self, utc_s, seconds=BOOT_S):
        """The device as it reported after a time."""
        def look():
            seen = self.lab.device(NAME)
            return seen if (seen['last_report_s'] or 0) >= int(utc_s) else None
        return wait_for(f'{NAME} to report; console: {self.machine.console}', look, seconds, 0.2)

    def begin(self, release, prove='1m', silence='5m'):
        """Order a release; gives the name of the rollout."""
        name = f'to-{release["version"]}'
        self.lab.cli('apply', self.lab.write(f'{name}.yaml', ROLLOUT.format(
            name=name, version=release['version'], silence=silence, prove=prove)))
        self.lab.cli('approve', name)
        return name
