#!/usr/bin/env python3
"""What bash, zsh and fish offer on Tab: the real shells, the real CLI, a real server."""
import os
import pathlib
import shutil
import socket
import subprocess
import time
import unittest

from common import FleetTest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / 'orchestrator/cli/completions'
BASH = '''
source {scripts}/sluice.bash
compopt() {{ :; }}  # has a meaning only while readline completes
COMP_LINE=$1 COMP_POINT=${{#1}}
_sluice
printf '%s\\n' "${{COMPREPLY[@]}}"
'''
# The function runs as the completion system would run it; what it hands back is printed.
ZSH = '''
_describe() {{ local -a those; those=("${{(@P)4}}"); print -l -- "${{(@)those%%:*}}" }}
_files() {{ print -l -- ${{words[CURRENT]#*=}}*(N) }}
compset() {{ : }}
words=(${{(s: :)1}})
[[ $1 == *' ' ]] && words+=('')
CURRENT=$#words
source {scripts}/_sluice
'''
FISH = '''
source {scripts}/sluice.fish
complete -C "$argv[1]" | string replace -r '\\t.*' ''
'''


class Completion(FleetTest):
    devices = {'gw-1': {'start': False}, 'gw-2': {'start': False},
               'lab-1': {'start': False, 'ring': 'lab'}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.place = cls.lab.dir / 'a place to type in'
        cls.place.mkdir()
        for name in ('one.img', 'one.patch', 'two.img'):
            (cls.place / name).touch()

    def offers(self, shell, line):
        """What a shell offers at the end of a line."""
        script = {'bash': BASH, 'zsh': ZSH, 'fish': FISH}[shell].format(scripts=SCRIPTS)
        words = {'bash': ['bash', '-c', script, 'bash', line],
                 'zsh': ['zsh', '-fc', script, 'zsh', line],
                 'fish': ['fish', '--no-config', '-c', script, line]}[shell]
        self.assertIsNotNone(shutil.which(shell), f'no {shell} here: deploy/setup --tests')
        path = f'{self.lab.programs["sluice"].parent}:{os.environ["PATH"]}'
        done = subprocess.run(words, cwd=self.place, capture_output=True, text=True, check=False,
                              env={**os.environ, 'PATH': path, 'HOME': str(self.place),
                                   'SLUICE_DIR': str(self.lab.dir)})
        self.assertEqual(done.stderr, '', f'{shell}: {line}')
        return sorted(done.stdout.split())

    def test_each_shell(self):
        server = f'--server=http://{self.lab.address}'
        self.begin('slowly', self.publish(), ['cohort: lab, share: 100%'], approve=False)
        for line, offers in {
                'sluice dev': ['device'],
                'sluice audit ': ['list', 'verify'],
                'sluice audit list --l': ['--limit='],
                'sluice diff --codec=v': ['--codec=vcdiff'],
                'sluice diff one': ['one.img', 'one.patch'],
                'sluice diff one.img t': ['two.img'],
                f'sluice {server} explain gw': ['gw-1', 'gw-2'],
                f'sluice explain {server} lab': ['lab-1'],
                f'sluice {server} pause ': ['slowly'],
                'sluice frobnicate ': [],
        }.items():
            for shell in ('bash', 'zsh', 'fish'):
                got = self.offers(shell, line)
                if shell == 'bash' and '=' in line.split()[-1]:  # readline has the rest
                    got = [f'--codec={word}' for word in got]
                if shell == 'zsh' and 'diff one.img' in line:
                    got = [word for word in got if word != 'one.img']
                self.assertEqual(got, offers, f'{shell}: {line}')

    def test_a_server_that_does_not_answer_is_not_waited_for(self):
        with socket.create_server(('127.0.0.1', 0)) as mute:
            begun = time.monotonic()
            line = f'sluice --server=http://127.0.0.1:{mute.getsockname()[1]} explain '
            self.assertEqual(self.offers('bash', line), [])
            self.assertTrue(mute.accept(), 'it was asked')
        self.assertLess(time.monotonic() - begun, 10, 'the CLI itself waits for minutes')


if __name__ == '__main__':
    unittest.main()
