#!/usr/bin/env python3
"""Keys come and go, documents are renewed, a release is withdrawn: with `sluice` alone, and
devices follow."""
import unittest

from common import FleetTest, wait_for

LAB = ('name: lab, cohort: lab, share: 100%',)
SOON = ('name: lab, cohort: lab, share: 100%, soak: 1h',
        'name: field, cohort: fleet, share: 100%')


class Rotation(FleetTest):
    devices = {'gw-1': {'ring': 'lab'}, 'gw-2': {}}

    def key(self, name):
        """A new key of somebody; gives its file and its public half."""
        path = self.lab.dir / f'{name}.key'
        return path, self.lab.cli('key', 'new', path)['public']

    def root(self):
        return self.lab.cli('root', 'show')['payload']

    def assert_refused(self, number, *words):
        """The command fails with that error."""
        done = self.lab.cli(*words, check=False)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(f'"number":\t{number},', done.stdout)

    def assert_completes(self, name, *approve):
        release = self.publish()
        self.begin(name, release, LAB, approve=False)
        self.lab.cli('approve', name, *approve)
        self.lab.wait_state(name, 'completed', seconds=120)
        self.assert_runs('gw-1', release)

    def test_a_another_operator(self):
        old = self.root()['roles']['operator']['keys'][0]
        path, public = self.key('operator-2')
        self.lab.cli('root', 'renew', '--add', f'operator={public}')
        self.assertEqual(self.root()['version'], 2)
        self.assertEqual(self.root()['roles']['operator'],
                         {'keys': [old, public], 'threshold': 1, 'epoch': 1})
        self.assert_completes('second', '--key', path)
        self.lab.cli('root', 'renew', '--wide', '2')
        self.assertEqual(self.root()['roles']['operator']['wide'], 2)
        self.assert_refused(7, 'root', 'renew', '--remove', f'operator={old}')  # USAGE
        self.lab.cli('root', 'renew', '--wide', '1')

        self.lab.cli('root', 'renew', '--remove', f'operator={old}')
        self.assertEqual(self.root()['roles']['operator'],
                         {'keys': [public], 'threshold': 1, 'epoch': 2})
        self.begin('gone', self.publish(), LAB, approve=False)
        self.assert_refused(19, 'approve', 'gone')  # SIGNATURE
        self.lab.cli('approve', 'gone', '--key', path)
        self.lab.wait_state('gone', 'completed', seconds=120)
        path.rename(self.lab.dir / 'keys' / 'operator.key')

    def test_b_a_root_of_two_keys(self):
        before = self.root()['version']
        path, public = self.key('root-2')
        draft = self.lab.dir / 'draft.doc'
        self.lab.cli('root', 'renew', '--add', f'root={public}', '--threshold', 'root=2',
                     '--out', draft)
        self.assertEqual(self.root()['version'], before)
        self.assert_refused(20, 'root', 'publish', draft)  # THRESHOLD
        self.lab.cli('sign', draft, '--key', path)
        self.lab.cli('root', 'publish', draft)
        self.assertEqual(self.root()['version'], before + 1)
        self.assertEqual(self.root()['roles']['root']['threshold'], 2)
        told = self.lab.cli('root', 'renew', check=False)  # one of its keys is here
        self.assertIn('1 of 2 keys', told.stderr)
        self.assertTrue((self.lab.dir / f'root-{before + 2}.doc').exists())
        self.assertEqual(self.root()['version'], before + 1)
        self.assert_completes('after')

    def renew(self, *words):
        """A root that both keys sign."""
        draft = self.lab.dir / 'draft.doc'
        self.lab.cli('root', 'renew', *words, '--out', draft)
        self.lab.cli('sign', draft, '--key', self.lab.dir / 'root-2.key')
        return self.lab.cli('root', 'publish', draft, check=False)

    def test_c_another_key_of_the_orchestrator(self):
        old = self.root()['roles']['online']['keys'][0]
        path, public = self.key('online-2')
        silenced = self.renew('--add', f'online={public}', '--remove', f'online={old}')
        self.assertEqual(silenced.returncode, 1, silenced)
        self.assertIn('does not list the online key', silenced.stderr)
        self.assertEqual(self.root()['roles']['online']['keys'], [old])

        self.assertEqual(self.renew('--add', f'online={public}').returncode, 0)
        self.lab.sluiced.stop()
        path.rename(self.lab.dir / 'keys' / 'online.key')
        self.lab.start_sluiced()
        self.assertEqual(self.renew('--remove', f'online={old}').returncode, 0)
        self.assertEqual(self.root()['roles']['online'],
                         {'keys': [public], 'threshold': 1, 'epoch': 2})
        self.assert_completes('other-voice')
        for device in self.lab.devices():
            self.assertEqual((device['error_name'], device['alarm']), ('OK', False), device)

    def test_d_a_release_withdrawn(self):
        release = self.publish()
        self.begin('withdrawn', release, SOON)
        self.wait_device('gw-1', 'confirmed', lambda d: d['running'] == release['image'] and
                         d['confirmed'], 120)
        self.lab.cli('catalog', 'renew', '--revoke', release['release'][:12])
        end = self.lab.wait_state('withdrawn', 'halted', seconds=60)
        self.assertEqual(end['reason_name'], 'UNLISTED')
        shown = self.lab.cli('catalog', 'show')
        self.assertEqual(shown['revoked'], [release['release']])
        self.assertNotIn(release['release'], shown['releases'])
        self.assert_refused(9, 'catalog', 'renew', '--allow', release['release'])  # CONFLICT
        self.lab.cli('abort', 'withdrawn')
        self.assertNotEqual(self.lab.device('gw-2')['running'], release['image'])

    def test_e_what_expires_soon_is_told(self):
        self.assertEqual(self.lab.api('/status')['expiring'], [])
        self.assertEqual(self.renew('--days', '59').returncode, 0)
        told = wait_for('a warning', lambda: self.lab.api('/status')['expiring'], 30)
        self.assertEqual([t['type'] for t in told], ['root'])

    def test_f_senseless_changes_are_refused(self):
        key = self.root()['roles']['release']['keys'][0]
        for words in (('--add', 'nobody=' + key), ('--add', 'release'), ('--add', 'release=00'),
                      ('--remove', 'release=' + key), ('--threshold', 'release=2'),
                      ('--threshold', 'release=0'), ('--threshold', 'release=x'),
                      ('--wide', '3'), ('--wide', '0'), ('--days', '0'), ('--days', '99999')):
            with self.subTest(words=words):
                self.assert_refused(7, 'root', 'renew', *words)  # USAGE
        self.assert_refused(9, 'root', 'renew', '--add', 'release=' + key)  # CONFLICT
        gone = self.lab.cli('root', 'renew', '--remove', 'release=' + '00' * 32, check=False)
        self.assertEqual(gone.returncode, 2, gone)  # NOTFOUND


if __name__ == '__main__':
    unittest.main()
