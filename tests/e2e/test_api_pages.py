#!/usr/bin/env python3
"""Lists a page at a time: every entry once, in the order of the whole list."""
import os
import unittest

from common import FleetTest, LabError


class Pages(FleetTest):
    fleet_yaml = 'fleet: demo\ncohorts:\n  - {name: all}\n'
    devices = {'gw-1': {'start': False}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        release = cls.publish()
        cls.publish()
        for n in range(3):
            cls.lab.cli('apply', cls.rollout_file(f'r-{n}', release,
                                                  ['name: one, cohort: all, share: 100%']))
            cls.lab.cli('abort', f'r-{n}')
        for n in range(5):
            token = cls.lab.api('/tokens', 'POST', {'labels': [], 'valid_s': 600})['token']
            cls.lab.api('/claims', 'POST', {'token': token, 'id': f'new-{n}',
                                            'key': os.urandom(32).hex()})

    def test_pages_make_the_whole_list(self):
        for name, key, least in (('rollouts', 'rollout', 3), ('releases', 'digest', 3),
                                 ('claims', 'id', 5)):
            whole = self.lab.api(f'/{name}')
            self.assertEqual(whole['next'], '')
            want = [e[key] for e in whole[name]]
            self.assertGreaterEqual(len(want), least)
            for limit in (1, 2, len(want), 1000):
                found, after = [], ''
                while True:
                    page = self.lab.api(f'/{name}?limit={limit}&after={after}')
                    self.assertLessEqual(len(page[name]), limit)
                    found += [e[key] for e in page[name]]
                    after = page['next']
                    if not after:
                        break
                self.assertEqual(found, want, (name, limit))
            self.assertEqual(self.lab.api(f'/{name}?after={want[-1]}')[name], [])

    def test_what_is_no_page_is_refused(self):
        for query in ('limit=0', 'limit=1001', 'limit=x', 'after=nobody'):
            for name in ('rollouts', 'releases', 'claims'):
                with self.assertRaises(LabError):
                    self.lab.api(f'/{name}?{query}')


if __name__ == '__main__':
    unittest.main()
