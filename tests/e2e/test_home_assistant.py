#!/usr/bin/env python3
"""What Home Assistant finds at the broker: an update entity for each device, by its MQTT
discovery, and how it fares; nothing unless it is switched on, and nothing left once it is off."""
import json
import pathlib
import subprocess
import unittest

from common import FleetTest, wait_for
from attacker import USER, Attacker

ON = 'home_assistant: {enabled: true}\n'
OFF = 'home_assistant: {enabled: false}\n'
CONFIG = 'homeassistant/update/sluice__demo__{}/config'
STATE = 'sluice-ha/demo/sluice__demo__{}/state'
HEALTH = '#!/bin/sh\nwhile [ -e "$(dirname "$0")/../hold" ]; do sleep 0.1; done\n'


class HomeAssistant(FleetTest):
    fleet_yaml = 'fleet: demo\ncohorts:\n  - {name: lab, labels: {ring: lab}}\n  - {name: rest}\n'
    devices = {'gw-1': {'ring': 'lab', 'hooks': {'health': HEALTH}}, 'gw.2': {}}
    users = (USER,)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.link = [str(w) for w in Attacker(cls.lab).link]
        cls.plain = (cls.lab.dir / 'sluiced.yaml').read_text()

    def restart(self, more):
        self.lab.sluiced.stop()
        (self.lab.dir / 'sluiced.yaml').write_text(self.plain + more)
        self.lab.start_sluiced()

    def held(self):
        """All that the broker holds for Home Assistant: topic -> text."""
        done = subprocess.run(
            ['mosquitto_sub', *self.link, '-t', 'homeassistant/#', '-t', 'sluice-ha/#', '-q', '1',
             '-W', '1', '-F', '%t %p', '--retained-only'], capture_output=True, text=True,
            check=False)
        return dict(line.split(' ', 1) for line in done.stdout.splitlines())

    def state(self, device):
        return json.loads(self.held().get(STATE.format(device), '{}'))

    def publish_as_user(self, topic, text, *more):
        subprocess.run(['mosquitto_pub', *self.link, '-t', topic, '-q', '1', '-m', text, *more],
                       check=True)

    def wait_state(self, device, probe, what):
        return wait_for(f'{device} {what}', lambda: probe(self.state(device)), 60)

    def test_1_nothing_unless_it_is_switched_on(self):
        self.assertEqual(self.held(), {})

    def test_2_each_device_is_found_and_followed_through_an_update(self):
        self.restart(ON)
        both = wait_for('both', lambda: len(found := self.held()) == 5 and found)
        self.assertEqual(both['sluice-ha/demo/availability'], 'online')
        self.assertEqual(set(both) - {'sluice-ha/demo/availability'},
                         {t.format(d) for t in (CONFIG, STATE) for d in ('gw-1', 'gw_d2')})
        config = json.loads(both[CONFIG.format('gw_d2')])
        self.assertEqual(config['unique_id'], 'sluice__demo__gw_d2')
        self.assertEqual(config['state_topic'], STATE.format('gw_d2'))
        self.assertEqual((config['device']['name'], config['device']['sw_version']),
                         ('gw.2', self.first['version']))
        self.assertNotIn('command_topic', config)
        state = json.loads(both[STATE.format('gw-1')])
        self.assertEqual((state['installed_version'], state['latest_version']),
                         2 * (self.first['version'],))
        release = self.publish(notes='What is "new"')
        seen = self.wait_state('gw-1', lambda s: s['latest_version'] == release['version'] and s,
                               'to have an update')
        self.assertEqual((seen['release_summary'], seen['in_progress']), ('What is "new"', False))
        hold = self.lab.agents['gw-1'].dir / 'hold'
        hold.touch()
        self.begin('shown', release, ['name: lab, cohort: lab, share: 100%'])
        self.wait_state('gw-1', lambda s: s['in_progress'], 'to be under way')
        hold.unlink()
        self.wait_state('gw-1', lambda s: not s['in_progress'] and
                        s['installed_version'] == release['version'], 'to be through')
        self.assertEqual(json.loads(self.held()[CONFIG.format('gw-1')])['device']['sw_version'],
                         release['version'])
        self.assertEqual(self.state('gw_d2')['installed_version'], self.first['version'])

    def take_away(self, *topics):
        for topic in topics:
            subprocess.run(['mosquitto_pub', *self.link, '-t', topic, '-q', '1', '-r', '-n'],
                           check=True)

    def test_3_all_is_said_again_when_home_assistant_is_born(self):
        self.lab.sluiced.stop()
        self.take_away(*self.held())
        self.restart(ON)
        wait_for('it to have said all', lambda: len(self.held()) == 5)
        self.publish_as_user(STATE.format('gw-1'), 'overwritten', '-r')
        self.assertEqual(self.held()[STATE.format('gw-1')], 'overwritten')
        self.publish_as_user('homeassistant/status', 'online')
        wait_for('it to be said again', lambda: self.held()[STATE.format('gw-1')] != 'overwritten')

    def test_4_what_is_of_no_device_is_taken_away_and_what_is_not_ours_stays(self):
        gone, others = 'gone', ('homeassistant/update/other/config', 'sluice-ha/demo/x/state')
        for topic in (CONFIG.format(gone), STATE.format(gone), *others):
            self.publish_as_user(topic, '{}', '-r')
        self.restart(ON)
        wait_for('it to go', lambda: STATE.format(gone) not in self.held())
        found = self.held()
        self.assertNotIn(CONFIG.format(gone), found)
        for topic in others:
            self.assertIn(topic, found)
        self.take_away(*others)

    def test_5_a_cohort_alone(self):
        self.restart('home_assistant: {enabled: true, cohort: lab}\n')
        wait_for('the other to go', lambda: set(self.held()) == {
            'sluice-ha/demo/availability', CONFIG.format('gw-1'), STATE.format('gw-1')})

    def test_6_who_ends_says_so(self):
        self.restart(ON)
        wait_for('both', lambda: len(self.held()) == 5)
        self.lab.sluiced.stop()
        self.assertEqual(self.held()['sluice-ha/demo/availability'], 'offline')
        self.lab.start_sluiced()
        wait_for('it to be back', lambda: self.held()['sluice-ha/demo/availability'] == 'online')
        self.lab.sluiced.kill()
        wait_for('the last will',
                 lambda: self.held()['sluice-ha/demo/availability'] == 'offline')
        self.lab.start_sluiced()

    def test_7_switched_off_nothing_is_left(self):
        self.restart(OFF)
        wait_for('all to go', lambda: self.held() == {})
        log = pathlib.Path(self.lab.sluiced.log).read_text()
        self.assertNotIn('home-assistant.denied', log)
        self.assertNotIn('event=message.refused', log)


if __name__ == '__main__':
    unittest.main()
