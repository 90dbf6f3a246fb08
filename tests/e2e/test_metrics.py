#!/usr/bin/env python3
"""GET /metrics is what Prometheus takes, and says what the API says; GET /readyz says whether
this sluiced does its work."""
import re
import subprocess
import time
import unittest
import urllib.error
import urllib.request

from common import FleetTest, wait_for

SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')


class Metrics(FleetTest):
    fleet_yaml = 'fleet: demo\ncohorts:\n  - {name: all}\n'
    devices = {'gw-1': {}}

    def get(self, path, key=True):
        """Status, type and text of an answer."""
        headers = {}
        if key:
            headers['Authorization'] = 'Bearer ' + (self.lab.dir / 'api.key').read_text().strip()
        request = urllib.request.Request(f'http://{self.lab.address}{path}', headers=headers)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as a:
                return a.status, a.headers['Content-Type'], a.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.headers['Content-Type'], e.read().decode()

    def samples(self):
        status, kind, text = self.get('/metrics')
        self.assertEqual((status, kind), (200, 'text/plain; version=0.0.4; charset=utf-8'))
        found = {}
        for line in text.splitlines():
            if not line.startswith('#'):
                name, labels, value = SAMPLE.match(line).groups()
                found[name, labels or ''] = float(value)
        return found

    def test_promtool_takes_it(self):
        self.begin('checked', self.publish(), ['name: one, cohort: all, share: 100%'],
                   approve=False)
        self.addCleanup(self.lab.cli, 'abort', 'checked')
        text = self.get('/metrics')[2]
        done = subprocess.run(['promtool', 'check', 'metrics'], input=text, text=True,
                              capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ''), text)
        names = set(re.findall(r'^# TYPE (\w+)', text, re.M))
        self.assertEqual(names, set(re.findall(r'^# HELP (\w+) \S', text, re.M)))
        for line in text.splitlines():
            if not line.startswith('#'):
                self.assertIn(SAMPLE.match(line)[1], names)
        self.assertFalse([n for n in names if not n.startswith(('sluice_', 'process_'))])

    def test_it_says_what_the_api_says(self):
        self.begin('counted', self.publish(), ['name: one, cohort: all, share: 100%'],
                   approve=False)
        self.addCleanup(self.lab.cli, 'abort', 'counted')
        wait_for('a grant to be missing',
                 lambda: self.lab.rollout('counted')['state'] == 'waiting-for-grant', 60)
        status, found = self.lab.api('/status'), self.samples()
        for state, count in status['devices']['by_state'].items():
            self.assertEqual(found['sluice_devices', f'state="{state}"'], count)
        self.assertEqual(found['sluice_devices_online', ''], status['devices']['online'])
        self.assertEqual(found['sluice_broker_connected', ''], 1)
        self.assertGreaterEqual(found['sluice_audit_entries_total', ''], status['audit']['seq'])
        self.assertEqual(found['sluice_rollout_state',
                               'rollout="counted",state="waiting-for-grant"'], 1)
        self.assertEqual(found['sluice_stage_devices',
                               'rollout="counted",stage="one",state="pending"'], 1)
        self.assertGreaterEqual(found['sluice_messages_received_total', ''], 2)
        self.assertEqual(found['sluice_published_bytes_total', ''],
                         status['bytes']['published'])
        for kind in ('root', 'catalog'):
            left = found['sluice_document_expiry_timestamp_seconds', f'type="{kind}",rollout=""']
            self.assertGreater(left, time.time() + 86400)
        self.assertGreater(found['process_resident_memory_bytes', ''], 1e6)
        self.assertGreater(found['process_cpu_seconds_total', ''], 0)

    def test_answers_are_counted_by_route_and_status(self):
        def count(labels):
            return self.samples().get(('sluice_http_requests_total', labels), 0)
        known = 'method="GET",route="/devices/{}",code="200"'
        missing = 'method="GET",route="/devices/{}",code="404"'
        nobody = 'method="GET",route="/status",code="401"'
        before = [count(c) for c in (known, missing, nobody)]
        self.lab.device('gw-1')
        self.get('/api/v1/devices/gw-9')
        self.get('/api/v1/status', key=False)
        self.assertEqual([count(c) for c in (known, missing, nobody)], [n + 1 for n in before])

    def test_it_takes_a_key(self):
        self.assertEqual(self.get('/metrics', key=False)[0], 401)
        self.assertEqual(self.get('/api/v1/metrics')[0], 200)

    def test_ready_is_who_leads_and_has_a_broker(self):
        def ready():
            return self.get('/readyz', key=False)[::2]
        self.assertEqual(wait_for('ready', lambda: ready()[0] == 200 and ready()),
                         (200, '{"ready":true,"leader":true,"broker":true}'))
        self.assertEqual(self.get('/api/v1/readyz', key=False)[0], 200)
        self.lab.broker.stop()
        self.assertEqual(wait_for('it to be lost', lambda: ready()[0] == 503 and ready()),
                         (503, '{"ready":false,"leader":true,"broker":false}'))
        self.assertEqual(self.get('/healthz', key=False)[0], 200)
        self.assertEqual(self.samples()['sluice_broker_connected', ''], 0)
        self.lab.start_broker()
        wait_for('ready again', lambda: ready()[0] == 200)


if __name__ == '__main__':
    unittest.main()
