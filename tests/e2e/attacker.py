"""An attacker who owns the broker: reads and replaces every retained message, and forges
documents with whatever keys fell into his hands."""
import hashlib
import json
import struct
import subprocess

from common import BUILD, FleetTest, LabError, run, wait_for

USER = 'attacker'
HEAD = struct.Struct('<4sBB16sI')  # magic, type, version, fleet id, length of the payload
TYPES = ('root', 'release', 'catalog', 'grant', 'fresh', 'order', 'assign', 'report')


def payload_of(envelope):
    """What a document says, its member names in order."""
    length = HEAD.unpack_from(envelope)[4]
    return json.loads(envelope[HEAD.size:HEAD.size + length])


def digest_of_document(envelope):
    """The name other documents give it; without the signatures."""
    magic, kind, version, fleet, length = HEAD.unpack_from(envelope)
    assert magic == b'OTA1'
    message = (b'OTA1-sig\0' + bytes([kind, version]) + fleet + struct.pack('<Q', length) +
               envelope[HEAD.size:HEAD.size + length])
    return hashlib.blake2b(message, digest_size=32).hexdigest()


def flipped(data, at):
    """The same with one bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


class Attacker:
    """One at a broker; his name is a user of the lab with all rights."""

    def __init__(self, lab):
        self.lab = lab
        self.dir = lab.dir / 'attacker'
        self.dir.mkdir(exist_ok=True)
        certs = lab.dir / 'broker' / 'certs'
        self.link = ['-V', 'mqttv5', '-h', 'localhost', '-p', lab.port, '--cafile',
                     certs / 'ca.pem', '--cert', certs / f'{USER}.pem', '--key',
                     certs / f'{USER}.key']

    def topic(self, below):
        return f'sluice/1/{self.lab.fleet}/{below}'

    # ---- messages --------------------------------------------------------------------

    def read(self, below, seconds=5):
        """The retained message of a topic, or None."""
        words = ['mosquitto_sub', *self.link, '-t', self.topic(below), '-q', '1', '-C', '1',
                 '-W', seconds, '-N', '--retained-only']
        done = subprocess.run([str(w) for w in words], capture_output=True, check=False)
        return done.stdout or None

    def expect(self, below):
        """The retained message of a topic, once there is one."""
        return wait_for(f'a message on {below}', lambda: self.read(below, 1), 30)

    def list(self, below, seconds=1):
        """All retained topics that a filter matches, below the fleet."""
        words = ['mosquitto_sub', *self.link, '-t', self.topic(below), '-q', '1', '-W',
                 seconds, '-F', '%t', '--retained-only']
        done = subprocess.run([str(w) for w in words], capture_output=True, text=True,
                              check=False)
        return [line[len(self.topic('')):] for line in done.stdout.splitlines()]

    def send(self, below, payload):
        """Replace a retained message; the broker has acknowledged it."""
        path = self.dir / 'payload'
        path.write_bytes(payload)
        run('mosquitto_pub', *self.link, '-t', self.topic(below), '-q', '1', '-r', '-f', path)

    def publish(self, below, payload):
        """The same, and see that the broker has it: for messages nobody else replaces."""
        self.send(below, payload)
        found = self.read(below)
        if found != payload:
            raise LabError(f'{below}: {len(payload)} bytes published, '
                           f'{len(found or b"")} others read back')

    def remove(self, below):
        """Take a retained message from the broker."""
        run('mosquitto_pub', *self.link, '-t', self.topic(below), '-q', '1', '-r', '-n')
        if self.read(below, 1) is not None:
            raise LabError(f'{below} is still there')

    # ---- documents -------------------------------------------------------------------

    def key(self, role):
        return self.lab.dir / 'keys' / f'{role}.key'

    def forge(self, kind, payload, *keys, fleet_id=None):
        """An envelope around a payload (a tree, or bytes as they are), signed by keys."""
        if not isinstance(payload, bytes):
            payload = json.dumps(payload, separators=(',', ':')).encode()
        raw, out = self.dir / 'raw', self.dir / 'forged'
        raw.write_bytes(payload)
        root = payload_of((self.lab.dir / 'root.doc').read_bytes())
        run(BUILD / 'tests/e2e/forge', kind, fleet_id or root['fleet_id'], out, raw, *keys)
        return out.read_bytes()

    def report(self, device):
        """The newest report of a device, as it lies on the broker."""
        envelope = self.read(f'state/+/{device}/report')
        return payload_of(envelope) if envelope else None


class AttackTest(FleetTest):
    """A fleet with an attacker at its broker."""

    users = (USER,)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.attacker = Attacker(cls.lab)

    def assert_refused(self, device, name, number, seconds=30):
        """The device's report and `sluice explain` come to show that error, and the image
        of the device is still its first one."""
        try:
            wait_for(name, lambda: self.lab.device(device)['error'] == number, seconds, 0.1)
        except LabError:
            self.fail(f'{device}: no {name}; it is {self.lab.device(device)}')
        seen = self.lab.device(device)
        self.assertEqual(seen['error_name'], name)
        self.assertGreater(len(seen['error_text']), 5, seen)
        self.assert_explained(device, name, number)
        self.assert_untouched(device)

    def assert_waits(self, device, name, number, seconds=30):
        """As assert_refused(), for what a device does not refuse but waits on."""
        self.assert_rule(device, name, number, seconds)
        seen = self.lab.device(device)
        self.assertEqual((seen['wait'], seen['wait_name']), (number, name), seen)
        self.assertEqual(seen['refused']['number'], number, seen)
        self.assert_explained(device, name, number)
        self.assert_untouched(device)

    def assert_explained(self, device, name, number):
        found = self.lab.cli('explain', device)
        self.assertEqual((found['rule'], found['number']), (name, number), found)
        self.assertGreater(len(found['detail']), 5, found)

    def assert_remembered(self, device, name, number):
        """What was refused is still shown, whatever became of it."""
        self.wait_device(device, f'refused {name}', lambda d: d.get('refused', {}).get(
            'number') == number, 30)
        refused = self.lab.cli('explain', device)['refused']
        self.assertEqual((refused['name'], refused['number']), (name, number))
        self.assertGreater(len(refused['text']), 5, refused)

    def assert_untouched(self, device, release=None):
        """It runs what it ran, and no attempt of it succeeded."""
        release = release or self.first
        self.assert_runs(device, release)
        seen = self.lab.device(device)
        self.assertEqual(seen['running'], release['image'], seen)
        self.assertNotIn('confirmed', [a['state'] for a in seen['attempts']], seen)

    def assert_well(self, device):
        """The refusal is forgotten."""
        self.wait_device(device, 'without error', lambda d: d['error'] == 0, 30)
