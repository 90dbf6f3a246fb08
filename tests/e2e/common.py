"""What the end-to-end tests share: images with real content, rollouts in a few words."""
import hashlib
import os
import pathlib
import random
import shutil
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / 'deploy'))
from lab import Lab, LabError, binaries, free_port, run, wait_for  # noqa: E402,F401

BUILD = pathlib.Path(os.environ.get('SLUICE_BUILD', TOP / 'build'))
HARDWARE = 'gw-100'


def digest_of(path):
    return hashlib.blake2b(pathlib.Path(path).read_bytes(), digest_size=32).hexdigest()


def make_image(path, seed, fresh_kib=256, base_mib=6):
    """An image of real machine code, with edits and new bytes that depend on seed: images of
    different seeds have much in common, and a delta of about fresh_kib between them."""
    source = next(p for p in sorted(pathlib.Path('/usr/lib').glob('*/libcrypto.so.3')))
    content = bytearray(source.read_bytes())
    while len(content) < base_mib << 20:
        content += bytes(content)
    del content[base_mib << 20:]
    rng = random.Random(seed)
    for _ in range(200):
        at = rng.randrange(len(content) - 64)
        content[at:at + 16] = rng.randbytes(16)
    middle = len(content) // 2
    content[middle:middle] = rng.randbytes(fresh_kib << 10)
    pathlib.Path(path).write_bytes(content)
    return path


ROLLOUT = '''\
rollout: {name}
release: {{product: gateway, version: {version}}}
stages:
{stages}
gates: {{success: 100%, silence: {silence}}}
deadlines: {{fetch: 5m, install: 2m, prove: {prove}}}
on_halt: {on_halt}
{more}
'''


class FleetTest(unittest.TestCase):
    """A test with a fleet of its own; subclasses say which devices it has."""

    fleet_yaml = 'fleet: demo\ncohorts:\n  - {name: lab, labels: {ring: lab}}\n  - {name: fleet}\n'
    devices = {}      # name -> dict(ring=..., hardware=..., hooks=..., more=...)
    fresh_kib = 256
    codec = 'vcdiff'  # of deltas; made in no time
    users = ()        # of the broker, beside sluiced and the devices
    host = 'localhost'  # of the broker, as everybody finds it
    operators = 1     # keys that sign grants

    @classmethod
    def prepare(cls):
        """What happens between `sluice init` and the first start."""

    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix='sluice-e2e-'))
        # The patches of a test need not be the smallest.
        cls.lab = Lab(cls.dir / 'lab', build=BUILD,
                      server_more=f'patches:\n  codec: {cls.codec}\n  level: 3\n',
                      users=cls.users, host=cls.host, operators=cls.operators)
        cls.versions = 0
        try:
            cls.lab.init()
            cls.prepare()
            cls.lab.start_broker()
            cls.lab.start_sluiced()
            cls.lab.cli('apply', cls.lab.write('fleet.yaml', cls.fleet_yaml))
            cls.first = cls.publish()
            for name, d in cls.devices.items():
                cls.add(name, **d)
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.lab.stop()
        keep = os.environ.get('SLUICE_KEEP')
        if keep:
            print(f'kept: {cls.dir}', file=sys.stderr)
        else:
            shutil.rmtree(cls.dir, ignore_errors=True)

    @classmethod
    def make(cls, path, version):
        """The image of a version."""
        return make_image(path, version, cls.fresh_kib)

    @classmethod
    def publish(cls, hardware=(HARDWARE,), **words):
        """A new image as a new release; gives version, path and digests."""
        cls.versions += 1
        version = f'{cls.versions}.0'
        path = cls.make(cls.dir / f'image-{version}', cls.versions)
        more = [w for h in hardware for w in ('--hardware', h)]
        more += [w for k, v in words.items() for w in (f'--{k}', v)]
        release = cls.lab.cli('release', 'create', path, '--product', 'gateway', '--version',
                              version, *more)
        return {'version': version, 'path': path, **release}

    @classmethod
    def add(cls, name, ring='field', hardware=HARDWARE, counter=1, start=True, **more):
        agent = cls.lab.add_agent(name, [f'ring={ring}'], hardware=hardware,
                                  image=cls.first['path'], version=cls.first['version'],
                                  counter=counter, **more)
        if start:
            agent.start()
            wait_for(f'{name} to report', lambda: cls.lab.device(name)['last_report_s'], 30)
        return agent

    @classmethod
    def rollout_file(cls, name, release, stages, silence='2m', prove='30s', on_halt='pause',
                     more=''):
        lines = ''.join(f'  - {{{s}}}\n' for s in stages).rstrip('\n')
        return cls.lab.write(f'{name}.yaml', ROLLOUT.format(
            name=name, version=release['version'], stages=lines, silence=silence, prove=prove,
            on_halt=on_halt, more=more))

    @classmethod
    def begin(cls, name, release, stages, approve=True, **words):
        cls.lab.cli('apply', cls.rollout_file(name, release, stages, **words))
        if approve:
            cls.lab.cli('approve', name)

    def assert_rule(self, device, rule, number, seconds=60):
        """`sluice explain` comes to say that rule, with its number and a sentence."""
        def look():
            found = self.lab.explain(device)
            return found if found['rule'] == rule else None
        try:
            found = wait_for(rule, look, seconds, 0.2)
        except LabError:
            self.fail(f'{device}: expected {rule}, explain says {self.lab.explain(device)}, '
                      f'report {self.lab.device(device)}')
        self.assertEqual(found['number'], number)
        self.assertGreater(len(found['text']), 10)
        return found

    def assert_runs(self, device, release):
        """The device's applications see the release's image, byte for byte."""
        self.assertEqual(digest_of(self.lab.agents[device].image()), release['image'], device)

    def wait_device(self, device, what, probe, seconds=60):
        """Wait until a device's view satisfies probe."""
        try:
            return wait_for(f'{device} {what}', lambda: probe(self.lab.device(device)) and
                            self.lab.device(device), seconds, 0.1)
        except LabError:
            self.fail(f'{device}: never {what}; it is {self.lab.device(device)}')
