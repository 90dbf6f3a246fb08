#!/usr/bin/env python3
"""A release needs two keys of its role. One key that signs twice is one key: to sluiced, and
to a device that gets such a release from the broker."""
import time
import unittest

from attacker import AttackTest, Attacker, digest_of_document, payload_of
from common import HARDWARE, LabError, make_image

LAB = ('name: lab, cohort: lab, share: 100%',)
DAY_S = 86400


class Threshold(AttackTest):
    devices = {'gw-1': {'ring': 'lab'}}
    listed = []  # digests of the releases in the catalog

    @classmethod
    def prepare(cls):
        """A root that wants two release keys, in place of the one `sluice init` made."""
        cls.signer = Attacker(cls.lab)
        path, second = cls.lab.dir / 'root.doc', cls.signer.key('release-2')
        root = payload_of(path.read_bytes())
        role = root['roles']['release']
        role['keys'].append(cls.lab.cli('key', 'new', second)['public'])
        role['threshold'] = 2
        path.write_bytes(cls.signer.forge('root', root, cls.signer.key('root')))
        cls.keys = (cls.signer.key('release'), second)

    @classmethod
    def sign(cls, version, counter, keys):
        """A release of a new image, signed by keys in turn; gives it and its image."""
        image = make_image(cls.dir / f'image-{version}', counter)
        path = cls.dir / f'release-{version}'
        cls.lab.cli('release', 'create', image, '--product', 'gateway', '--version', version,
                    '--hardware', HARDWARE, '--counter', counter, '--offline', '--out', path)
        release = payload_of(path.read_bytes())
        path.write_bytes(cls.signer.forge('release', release, *keys))
        return path, image

    @classmethod
    def bring(cls, path, image):
        """Publish a release, with a catalog that lists it."""
        envelope = path.read_bytes()
        now, digest = int(time.time()), digest_of_document(envelope)
        cls.listed.append(digest)
        catalog = {'seq': len(cls.listed), 'issued': now, 'expires': now + 90 * DAY_S,
                   'releases': cls.listed, 'revoked': [], 'minimum': []}
        cls.lab.api('/documents', 'POST', cls.signer.forge('catalog', catalog, *cls.keys))
        cls.lab.cli('release', 'publish', path, image)
        release = payload_of(envelope)
        return {'version': release['version'], 'path': image, 'image': release['image'],
                'release': digest}

    @classmethod
    def publish(cls, **words):
        cls.versions += 1
        return cls.bring(*cls.sign(f'{cls.versions}.0', cls.versions, cls.keys))

    def twice(self, path):
        """The same release, signed twice by the first key alone."""
        release = payload_of(path.read_bytes())
        return self.attacker.forge('release', release, self.keys[0], self.keys[0])

    def test_sluiced_refuses_one_key_twice(self):
        for keys in (self.keys[:1], self.keys[:1] * 2, self.keys[1:] * 3):
            path, _ = self.sign('9.0', 9, keys)
            with self.assertRaises(LabError) as caught:
                self.lab.api('/documents', 'POST', path.read_bytes())
            self.assertIn('"THRESHOLD"', str(caught.exception))
            self.assertIn('"number":20', str(caught.exception).replace(' ', ''))
        versions = [r['version'] for r in self.lab.api('/releases')['releases']]
        self.assertNotIn('9.0', versions)

    def test_two_keys_make_a_release_and_one_twice_does_not(self):
        """The digest of a release does not depend on who signed it, so a broker may put
        the one in the place of the other."""
        path, image = self.sign('2.0', 2, self.keys)
        release = self.bring(path, image)
        topic = f'release/{release["release"]}'
        self.assertEqual(self.attacker.expect(topic), path.read_bytes())
        self.attacker.publish(topic, self.twice(path))
        self.begin('two', release, LAB)
        self.assert_refused('gw-1', 'THRESHOLD', 20)
        self.attacker.publish(topic, path.read_bytes())
        self.lab.wait_state('two', 'completed', seconds=60)
        self.assert_runs('gw-1', release)
        self.assertEqual(self.lab.device('gw-1')['error'], 0)


if __name__ == '__main__':
    unittest.main()
