#!/usr/bin/env python3
"""An update that leaves the network process unable to start: it is taken back all the same."""
import unittest

from common import FleetTest, digest_of, wait_for

# The new image comes up without the key that the network process needs.
LOSE_KEY = '''#!/bin/sh
cd "$(dirname "$0")/.." && [ ! -e lose ] || mv gw-1.key gw-1.key.lost
'''


class NetBroken(FleetTest):
    devices = {'gw-1': {'hooks': {'before-reboot': LOSE_KEY}}}

    def test_an_image_whose_net_ends_at_once_is_taken_back(self):
        agent = self.lab.agents['gw-1']
        (agent.dir / 'lose').touch()
        before = digest_of(agent.image())
        release = self.publish()
        self.begin('mute', release, ['name: all, cohort: fleet, share: 100%'], prove='8s')
        wait_for('the new image', lambda: digest_of(agent.image()) == release['image'], 60)
        wait_for('net to fail', lambda: 'event=net.failed' in agent.log.read_text(), 20)
        wait_for('the old image', lambda: digest_of(agent.image()) == before, 40)
        # Only now that somebody repairs it, anybody hears of it.
        (agent.dir / 'lose').unlink()
        (agent.dir / 'gw-1.key.lost').rename(agent.dir / 'gw-1.key')
        self.wait_device('gw-1', 'says why', lambda d: d['error_name'] == 'HEALTH', 40)
        self.assertEqual(self.lab.device('gw-1')['version'], '1.0')
        self.assertEqual(self.lab.wait_state('mute', 'halted', 'completed')['state'], 'halted')


if __name__ == '__main__':
    unittest.main()
