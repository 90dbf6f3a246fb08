#!/usr/bin/env python3
"""Alert rules and the Grafana dashboard: promtool takes them, each alert fires on what it is for,
and every metric they name is one that sluiced has."""
import json
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / 'deploy/prometheus/sluice.rules.yml'
PLAYED = ROOT / 'deploy/prometheus/sluice.rules.test.yml'
DASHBOARD = ROOT / 'deploy/grafana/sluice.json'
METRICS = ROOT / 'orchestrator/port/metrics.c'
NAMED = re.compile(r'\b((?:sluice|process)_\w+)\b')
LABELLED = re.compile(r'\b(sluice_\w+)\{([^}]*)\}')


def promtool(*words, at=ROOT):
    return subprocess.run(['promtool', *map(str, words)], cwd=at, capture_output=True, text=True,
                          check=False)


def expressions():
    """Every expression of rules and dashboard."""
    yield from re.findall(r'^ +expr: (.*(?:\n {10}.*)*)', RULES.read_text(), re.M)
    for panel in json.loads(DASHBOARD.read_text())['panels']:
        for target in panel['targets']:
            yield target['expr']


class Watching(unittest.TestCase):
    def test_promtool_takes_the_rules(self):
        done = promtool('check', 'rules', RULES)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_each_alert_fires_on_what_it_is_for(self):
        done = promtool('test', 'rules', PLAYED.name, at=PLAYED.parent)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        alerts = set(re.findall(r'- alert: (\w+)', RULES.read_text()))
        fired = set(re.findall(r'alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:\n',
                               PLAYED.read_text()))
        self.assertGreater(len(alerts), 10)
        self.assertEqual(alerts, fired)

    def test_every_metric_is_one_there_is(self):
        source = METRICS.read_text()
        there = set(re.findall(r'"((?:sluice|process)_\w+)", "(?:gauge|counter)"', source))
        labels = set(re.findall(r'(\w+)=\\"', source)) | {'job'}
        seen = 0
        for text in expressions():
            for name in NAMED.findall(text):
                seen += 1
                self.assertIn(name, there, text)
            for _, inside in LABELLED.findall(text):
                self.assertLessEqual(set(re.findall(r'(\w+)=', inside)), labels, text)
        self.assertGreater(seen, 30)

    def test_panels_do_not_lie_on_each_other(self):
        taken = {}
        for panel in json.loads(DASHBOARD.read_text())['panels']:
            at = panel['gridPos']
            self.assertLessEqual(at['x'] + at['w'], 24, panel['title'])
            for x in range(at['x'], at['x'] + at['w']):
                for y in range(at['y'], at['y'] + at['h']):
                    self.assertIsNone(taken.setdefault((x, y), None), panel['title'])
                    taken[x, y] = panel['title']


if __name__ == '__main__':
    unittest.main()
