#!/usr/bin/env python3
"""Updates over networks that lose, delay, damage, stall and reset: each ends confirmed, nothing
is fetched twice, and no device is called failed for what its link did."""
import os
import random
import re
import time
import unittest

import bad_link

INSIDE = bad_link.enter()

from common import FleetTest, wait_for  # noqa: E402  (not before we are inside)

KEEPALIVE_S = 5
RETRY_S = 90  # the longest that an agent whose link keeps failing waits before it tries again
NIGHT = 'SLUICE_NIGHTLY' in os.environ
SEEDS = 5 if NIGHT else 1
# By day a lesser storm: with every third packet lost TCP alone takes minutes.
STORM = (500, 500, 300) if NIGHT else (200, 200, 100)
NAME = 'broker.test'


@unittest.skipUnless(INSIDE, 'SKIPPED: not root, and there are no namespaces for users here')
class Link(FleetTest):
    host = NAME
    stages = ['name: all, cohort: lab, share: 100%']

    @classmethod
    def prepare(cls):
        cls.network = bad_link.Network(cls.dir, 1)
        cls.addClassCleanup(cls.network.close)
        cls.network.names({NAME: bad_link.NEAR})

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.agent = cls.add('gw-far', ring='lab', start=False)
        config = cls.agent.dir / 'agent.yaml'
        config.write_text(config.read_text().replace(
            'broker:\n', f'broker:\n  keepalive: {KEEPALIVE_S}s\n', 1))
        cls.network.put(cls.agent)
        cls.agent.start()
        wait_for('a first report', lambda: cls.lab.device('gw-far')['last_report_s'], 30)

    def setUp(self):
        self.network.set()
        self.network.names({NAME: bad_link.NEAR})
        wait_for('the device to be online', lambda: self.lab.device('gw-far')['online'],
                 RETRY_S + 30)

    def log(self):
        return self.agent.log.read_text(errors='replace')

    def count(self, event):
        return len(re.findall(rf'event={re.escape(event)}\b', self.log()))

    def order(self, name, fresh_kib=192, **words):
        """A release for the device on its way."""
        type(self).fresh_kib = fresh_kib
        self.release = self.publish()
        words = {'silence': '10m', 'prove': '3m', **words}
        self.begin(name, self.release, self.stages, **words)

    def device(self):
        return self.lab.device('gw-far')

    def wait_fetching(self):
        wait_for('the first chunks', lambda: self.device()['state'] == 'fetching', 60)

    def assert_arrives(self, name, seconds=120):
        """It ends confirmed, on the right bytes, each fetched once, and nobody failed. Gives how
        often it had to be resumed."""
        failed, resumed = [], []

        def look(now):
            failed.extend(s['name'] for s in now['stages'] if s.get('counts', {}).get('failed'))
            if now['state'] == 'paused':  # sluiced lost the broker four times in 15 minutes
                self.assertEqual(now['reason_name'], 'UNSTABLE', now)
                self.lab.cli('resume', name)
                resumed.append(now)
        self.lab.wait_state(name, 'completed', seconds=seconds, watch=look)
        self.assertEqual(failed, [])
        self.assertEqual(self.agent.image().read_bytes(), self.release['path'].read_bytes())
        self.assertEqual(self.device()['refetched'], 0)
        return len(resumed)

    def word(self):
        """True once the agent or sluiced is connected again."""
        ups, since = self.count('net.up'), self.lab.broker.log.stat().st_size
        return lambda: (self.count('net.up') > ups or
                        b'sluiced' in self.lab.broker.log.read_bytes()[since:])

    def test_a_link_that_loses_delays_doubles_and_damages(self):
        for seed in range(SEEDS):
            with self.subTest(seed=seed):
                self.network.set(40, 10, 50, 20, 5, 4000)
                self.order(f'weather-{seed}')
                self.assert_arrives(f'weather-{seed}', 300)
                seen = self.network.set()
                self.assertTrue(all(seen[k] for k in ('lost', 'twice', 'damaged')), seen)

    def test_a_storm(self):
        before = self.network.set(*STORM)['lost']
        self.order('storm', fresh_kib=16)
        self.assert_arrives('storm', 600)
        self.assertGreater(self.network.set()['lost'], before)

    def test_sixty_four_kilobits_a_second(self):
        self.network.set(kbit=64)
        began, kib = time.monotonic(), 96
        self.order('modem', fresh_kib=kib)
        self.assert_arrives('modem', 300)
        self.assertGreater(time.monotonic() - began, kib * 8 / 64)

    def test_a_line_that_goes_dead_is_given_up_and_taken_up_again(self):
        for seed, cut in enumerate((bad_link.BOTH_WAYS, bad_link.UP) * SEEDS):
            name = f'dead-{seed}'
            with self.subTest(cut=cut, seed=seed):
                self.network.set(kbit=256)
                self.order(name)
                self.wait_fetching()
                moment = time.monotonic() + random.Random(seed).uniform(0, 4)
                wait_for('some more chunks', lambda: time.monotonic() > moment, 6)
                downs = self.count('net.down')
                self.network.set(cut=cut)
                # it asks after one keepalive and gives up at the second after that
                wait_for('the agent to notice', lambda: self.count('net.down') > downs,
                         KEEPALIVE_S * 2.5 + 5)
                wait_for('the orchestrator to notice', lambda: not self.device()['online'],
                         KEEPALIVE_S * 1.5 + 5)
                self.assertEqual(self.lab.explain('gw-far')['rule'], 'OFFLINE')
                self.network.set()
                self.assert_arrives(name, 180)

    def test_a_reset_every_five_seconds(self):
        self.network.set(kbit=160)
        self.order('resets')
        self.wait_fetching()
        resets, held = 0, 0
        while self.lab.rollout('resets')['state'] != 'completed' and resets < 60:
            before = self.network.set(kbit=160, cut=bad_link.RESET)['resets']
            wait_for('a segment to reset', lambda: self.network.set(
                kbit=160, cut=bad_link.RESET)['resets'] > before, RETRY_S + 30)
            self.network.set(kbit=160)
            resets += 1
            end = time.monotonic() + 5
            wait_for('five seconds', lambda: time.monotonic() > end, 6)
            now = self.device()['bytes']
            self.assertGreaterEqual(now, held)
            held = now
        self.assertGreater(resets, 1)
        self.assert_arrives('resets', RETRY_S + 60)

    def test_a_broker_that_restarts_twenty_times(self):
        self.network.set(kbit=100)  # too slow for all of it to pass between the restarts
        self.order('restarts')
        self.wait_fetching()
        ups = self.count('net.up')
        for _ in range(20):
            self.lab.broker.kill()
            self.lab.start_broker()
            # connected or not: an agent that was cut off often takes its time to come back
            wait_for('a word with the broker', self.word(), 30)
        self.assertEqual(self.assert_arrives('restarts', 300), 1)
        self.assertGreater(self.count('net.up'), ups)

    def test_a_name_that_nobody_knows_for_a_while(self):
        self.agent.stop()
        since = len(self.log())
        self.network.names({})
        self.agent.start()
        self.order('nameless')
        wait_for('a try in vain', lambda: f'why="ssl://{NAME}:{self.lab.port}: unknown name'
                 in self.log()[since:], 60)
        self.assertFalse(self.device()['online'])
        self.network.names({NAME: bad_link.NEAR})
        self.assert_arrives('nameless', 240)


if __name__ == '__main__':
    unittest.main()
