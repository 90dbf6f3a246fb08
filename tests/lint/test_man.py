#!/usr/bin/env python3
"""The manual pages: whole, without a complaint of groff's, and about all that there is."""
import os
import pathlib
import re
import shutil
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('SLUICE_BUILD', ROOT / 'build'))
PROGRAMS = {'sluice.1': 'orchestrator/cli/sluice', 'sluice-sim.1': 'orchestrator/cli/sluice-sim',
            'sluiced.8': 'orchestrator/sluiced', 'sluice-agent.8': 'agent/sluice-agent'}
FILES = {'sluice-agent.yaml.5': 'agent.yaml', 'sluiced.yaml.5': 'sluiced.yaml',
         'sluice.yaml.5': 'sluice.yaml', 'sluice-fleet.yaml.5': 'fleet.yaml',
         'sluice-rollout.yaml.5': 'rollouts/*.yaml'}


def page(name):
    """Where the build put a page."""
    found = [p for p in BUILD.glob('**/' + name) if p.is_file()]
    if len(found) != 1:
        raise AssertionError(f'{name}: built {len(found)} times; is scdoc installed?')
    return found[0]


def read(name):
    """A page as people see it, without the formatting, on lines of any length."""
    done = subprocess.run(['groff', '-man', '-Tutf8', '-P-cbou', '-rLL=2000n', page(name)],
                          capture_output=True, text=True, check=True)
    return re.sub(r'\s+', ' ', done.stdout.replace('\u2010', '-').replace('−', '-'))


def help_of(program, *words):
    return subprocess.run([BUILD / program, *words, '--help'], capture_output=True, text=True,
                          check=True).stdout


class Man(unittest.TestCase):
    def setUp(self):
        self.assertIsNotNone(shutil.which('groff'), 'no groff here: deploy/setup --tests')

    def test_groff_has_nothing_to_say(self):
        for name in [*PROGRAMS, *FILES]:
            done = subprocess.run(['groff', '-man', '-Tutf8', '-ww', '-z', page(name)],
                                  capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ''), name)

    def test_each_option_of_a_program(self):
        for name, program in PROGRAMS.items():
            text, said = read(name), help_of(program)
            options = set(re.findall(r'(?<!\w)--[a-z]+', said))
            self.assertGreater(len(options), 1)
            for option in options:
                self.assertIn(option, text, name)

    def test_each_verb_of_sluice_with_its_options(self):
        text = read('sluice.1')
        verbs = re.findall(r'^  ([a-z]+(?: [a-z]+)?) {2,}', help_of(PROGRAMS['sluice.1']), re.M)
        self.assertGreater(len(verbs), 30)
        for verb in verbs:
            self.assertIn(f' {verb} ', text)
            for option, what in re.findall(r'(--[a-z]+)\S* {2,}(.*)',
                                           help_of(PROGRAMS['sluice.1'], *verb.split())):
                self.assertIn(option, text, verb)
                self.assertIn(what, text, verb)

    def test_each_key_of_a_file(self):
        readme = (ROOT / 'config/README.md').read_text()
        for name, section in FILES.items():
            text = read(name)
            part = readme.split(f'\n## {section}\n')[1].split('\n## ')[0]
            rows = re.findall(r'^\| (`.*?) \|', part, re.M)
            self.assertGreater(len(rows), 3, section)
            for row in rows:
                for key in re.findall(r'`([^`]*)`', row):
                    self.assertIn(key, text, name)

    def test_pages_name_pages_that_are_there(self):
        for name in [*PROGRAMS, *FILES]:
            others = re.findall(r'(sluice[a-z.-]*)\((\d)\)', read(name))
            self.assertTrue(others, name)
            for other, section in others:
                page(f'{other}.{section}')


if __name__ == '__main__':
    unittest.main()
