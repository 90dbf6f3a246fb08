#!/usr/bin/env python3
"""Names become topics and paths. Whoever brings one with `+`, `#`, `/` or `..` is refused at
the door: on the command line, in files, over HTTP, from the broker, in signed payloads."""
import subprocess
import unittest
import urllib.parse

from attacker import AttackTest, payload_of
from common import TOP, LabError, run, wait_for

BAD = ('gw+1', '+', 'gw#', '#', 'a/b', '..', 'a..b', '../gw-1', '.a', 'Gw', 'a b', 'a' * 65)
FOREIGN = ('a\n', 'ä')  # where JSON does not stop them before
AGENT_YAML = {'device': 'gw-9', 'fleet': 'demo', 'product': 'gateway', 'hardware': 'gw-100'}


class Names(AttackTest):
    devices = {'gw-1': {'ring': 'lab'}}

    def assert_refused_cli(self, *words):
        done = self.lab.cli(*words, check=False)
        self.assertEqual(done.returncode, 1, (words, done.stdout, done.stderr))
        return done.stderr

    def assert_refused_api(self, path, method='GET', body=None, name='NAME'):
        with self.assertRaises(LabError, msg=(path, body)) as caught:
            self.lab.api(path, method, body)
        self.assertIn(f'"{name}"', str(caught.exception), (path, body))

    def files(self):
        """Every file below the fleet's directory that names decide on."""
        return sorted(str(p) for p in (self.lab.dir / 'devices').rglob('*') if p.is_dir())

    # ---- the command line ------------------------------------------------------------

    def test_the_command_line(self):
        before = self.files()
        for bad in BAD + FOREIGN:
            for words in (('device', 'add'), ('device', 'show'), ('explain',), ('status',),
                          ('pause',), ('resume',), ('abort',), ('revert',), ('approve',),
                          ('key', 'api')):
                with self.subTest(words=words, name=bad):
                    self.assert_refused_cli(*words, '--', bad)
        self.assertEqual(self.files(), before)
        self.assertEqual([d['id'] for d in self.lab.devices()], ['gw-1'])

    def test_a_release(self):
        image = self.first['path']
        good = {'product': 'gateway', 'version': '9', 'hardware': 'gw-100'}
        for bad in BAD + FOREIGN:
            for option in good:
                with self.subTest(option=option, name=bad):
                    words = [f'--{k}={v}' for k, v in {**good, option: bad}.items()]
                    self.assert_refused_cli('release', 'create', image, *words)
        self.assertEqual(len(self.lab.api('/releases')['releases']), 1)

    def test_a_fleet(self):
        for bad in BAD + FOREIGN:
            with self.subTest(name=bad):
                self.assert_refused_cli('init', self.dir / 'other', f'--fleet={bad}')
                for program, words in (('make-certs', [self.dir / 'certs', bad]),
                                       ('make-profile', [self.dir / 'broker', bad, 1])):
                    with self.assertRaises(LabError):
                        run(TOP / 'deploy/mosquitto' / program, *words)
        self.assertFalse((self.dir / 'other').exists())

    # ---- files -----------------------------------------------------------------------

    def test_the_files_of_the_programs(self):
        for bad in BAD + FOREIGN:
            quoted = '"' + bad.replace('\n', '\\n') + '"'
            for key in AGENT_YAML:
                with self.subTest(key=key, name=bad):
                    text = ''.join(f'{k}: {quoted if k == key else v}\n'
                                   for k, v in AGENT_YAML.items())
                    self.check('sluice-agent', text + 'root: root.doc\ndevice_key: x\n'
                               'state_dir: state\nslot: {type: file, dir: slots}\n'
                               'broker: {url: "tcp://127.0.0.1:1"}\n',
                               list(AGENT_YAML).index(key) + 1)
            with self.subTest(program='sluiced', name=bad):
                text = (self.lab.dir / 'sluiced.yaml').read_text()
                self.check('sluiced', text.replace('fleet: demo', f'fleet: {quoted}'), 2)
            for text, where in (
                    (f'fleet: demo\ncohorts:\n  - {{name: {quoted}}}\n', '3:12'),
                    (f'rollout: {quoted}\nrelease: {{product: gateway, version: 1.0}}\n'
                     'stages:\n  - {cohort: lab, share: 20%}\n', '1:10')):
                with self.subTest(where=where, name=bad):
                    path = self.lab.write('bad.yaml', text)
                    said = self.assert_refused_cli('apply', path)
                    self.assertIn(f'{path}:{where}: error', said)

    def check(self, program, text, line):
        path = self.lab.write('bad.yaml', text)
        words = ['check', '-c', path] if program == 'sluice-agent' else ['-c', path]
        done = subprocess.run([self.lab.programs[program], *words], capture_output=True,
                              text=True, check=False, timeout=20)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f'{path}:{line}:', done.stderr)

    # ---- HTTP ------------------------------------------------------------------------

    def test_http(self):
        for bad in BAD:
            with self.subTest(name=bad):
                self.assert_refused_api('/devices', 'POST', {
                    'id': bad, 'key': '11' * 32, 'labels': []})
                self.assert_refused_api('/fleet', 'PUT', {
                    'fleet': 'demo', 'cohorts': [{'name': bad, 'labels': ['a=b']}]})
                stage = {'name': 'one', 'cohort': 'lab', 'permille': 1000, 'soak_s': 0}
                rollout = {'rollout': 'r', 'release': self.first['release'],
                           'stages': [stage]}
                for wrong in ({**rollout, 'rollout': bad},
                              {**rollout, 'stages': [{**stage, 'name': bad}]},
                              {**rollout, 'stages': [{**stage, 'cohort': bad}]}):
                    self.assert_refused_api('/rollouts', 'POST', wrong)
                quoted = urllib.parse.quote(bad, safe='')
                for path in (f'/devices/{quoted}', f'/devices/{quoted}/explain',
                             f'/rollouts/{quoted}'):
                    self.assertIsNone(self.lab.api(path, missing=True))
        self.assertEqual([d['id'] for d in self.lab.devices()], ['gw-1'])

    # ---- the broker ------------------------------------------------------------------

    def refusals(self, since):
        """Lines of sluiced's log on messages that hold a wrong name."""
        text = self.lab.sluiced.log.read_text()[since:]
        return [line for line in text.splitlines() if 'event=message.refused' in line and
                'error=NAME' in line]

    def wait_refusals(self, since, count):
        wait_for(f'{count} refusals', lambda: len(self.refusals(since)) >= count, 20)

    def test_topics_that_name_no_device(self):
        report = self.attacker.expect('state/+/gw-1/report')
        since = len(self.lab.sluiced.log.read_text())
        topics = [topic for bad in ('a..b', '..', 'Gw', 'a' * 65)
                  for topic in (f'state/1/{bad}/report', f'need/{bad}')]
        for topic in topics:
            self.attacker.publish(topic, report)
        self.wait_refusals(since, len(topics))
        for topic in topics:
            self.attacker.remove(topic)
        self.assertEqual([d['id'] for d in self.lab.devices()], ['gw-1'])

    # ---- signed payloads -------------------------------------------------------------

    def test_signed_documents_for_a_device(self):
        """Its cohort becomes a subscription, and with `+` it would read everybody's."""
        topic = 'device/gw-1/assign'
        genuine = self.attacker.expect(topic)
        for bad in ('+', '#', 'lab/#', '../lab'):
            with self.subTest(name=bad):
                assign = payload_of(genuine)
                fake = {**assign, 'seq': assign['seq'] + 1, 'cohort': bad}
                self.attacker.publish(topic, self.attacker.forge(
                    'assign', fake, self.attacker.key('online')))
                try:
                    self.assert_refused('gw-1', 'NAME', 27)
                finally:
                    self.attacker.publish(topic, genuine)
                self.assert_well('gw-1')

    def test_signed_documents_for_sluiced(self):
        release = payload_of(self.attacker.expect(f'release/{self.first["release"]}'))
        key = self.attacker.key('release')
        for bad in BAD:
            for change in ({'product': bad}, {'version': bad}, {'hardware': [bad]}):
                with self.subTest(change=change):
                    body = self.attacker.forge('release', {**release, **change}, key)
                    self.assert_refused_api('/documents', 'POST', body)

    def test_signed_reports(self):
        """A device that was taken over reports under names of its own."""
        self.lab.agents['gw-1'].stop()
        topic, = self.attacker.list('state/+/gw-1/report')
        genuine = payload_of(self.attacker.expect(topic))
        before, since = self.lab.device('gw-1'), len(self.lab.sluiced.log.read_text())
        key = self.lab.agents['gw-1'].dir / 'device.key'
        members = ('device', 'product', 'hardware', 'cohort', 'rollout', 'version')
        for member in members:
            fake = {**genuine, 'counter': genuine['counter'] + 1000, member: '../+/#'}
            self.attacker.publish(topic, self.attacker.forge('report', fake, key))
        self.wait_refusals(since, len(members))
        now = self.lab.device('gw-1')
        for member in members[1:]:
            self.assertEqual(now[member], before[member])
        self.lab.agents['gw-1'].start()
        self.wait_device('gw-1', 'back', lambda d: d['boot'] > before['boot'])


if __name__ == '__main__':
    unittest.main()
