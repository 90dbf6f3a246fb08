#!/usr/bin/env python3
"""Every command of sluice, sluiced and sluice-agent that a document names is one there is, with
options that it has."""
import functools
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('SLUICE_BUILD', ROOT / 'build'))
PROGRAMS = {'sluice': 'orchestrator/cli/sluice', 'sluice-sim': 'orchestrator/cli/sluice-sim',
            'sluiced': 'orchestrator/sluiced', 'sluice-agent': 'agent/sluice-agent'}
SAID = re.compile(r'(?:`|^ {4,}|^\t|\$ )(sluice(?:d|-agent|-sim)?)\s([^`]*?)(?:`|\n\n|$)', re.M)


@functools.lru_cache(maxsize=None)
def help_of(program, *verb):
    """What a command says of itself; None if there is no such command."""
    done = subprocess.run([BUILD / PROGRAMS[program], *verb, '--help'], capture_output=True,
                          text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def verb_of(program, words):
    """The words of a call that are its verb."""
    plain = [w for w in words if not w.startswith('-')]
    if program != 'sluice':
        return ()
    for length in (2, 1):
        if len(plain) >= length and help_of(program, *plain[:length]):
            return tuple(plain[:length])
    return None


def faults(program, text):
    """What is wrong with a command."""
    words = [w.rstrip(',.;:') for w in re.sub(r'[()\[\]|]', ' ', text).split()]
    words = [w for w in words if w]
    if program == 'sluice' and not re.match(r'[a-z_-]', text):
        return None  # no command: COMMAND, a name
    verb = verb_of(program, [w for w in words if re.fullmatch(r'[a-z]+|-.*', w)])
    if verb is None and re.search(rf'^  {words[0]} ', help_of(program), re.M):
        return None  # a family of them: `sluice root`
    if verb is None and not words[0].startswith('-'):
        return 'no such command'
    said = help_of(program, *(verb or ()))
    for word in words:
        option = re.match(r'--[a-z][a-z-]*', word)
        if option and not re.search(rf'(?<![\w-]){option[0]}(?![\w-])', said):
            return f'{option[0]}: no such option'
    return None


class SaidCommands(unittest.TestCase):
    def test_there_is_each(self):
        wrong, seen = [], 0
        for page in sorted(ROOT.glob('**/*.md')):
            if any(part.startswith(('build', 'subprojects')) for part in page.parts):
                continue
            for program, rest in SAID.findall(page.read_text()):
                seen += 1
                fault = faults(program, rest)
                if fault:
                    wrong.append(f'{page.relative_to(ROOT)}: {program} {rest}: {fault}')
        self.assertEqual(wrong, [])
        self.assertGreater(seen, 100)

    def test_one_that_is_not_is_found(self):
        self.assertEqual(faults('sluice', 'frobnicate ROLLOUT'), 'no such command')
        self.assertEqual(faults('sluice', 'pause ROLLOUT --at-once'), '--at-once: no such option')
        self.assertIsNone(faults('sluice', 'revert ROLLOUT --at-once'))
        self.assertIsNone(faults('sluiced', 'backup -c FILE OUT'))


if __name__ == '__main__':
    unittest.main()
