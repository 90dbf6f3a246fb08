#!/usr/bin/env python3
"""Every test that the fault catalogue of tests/README.md names is there, and no number is
missing."""
import pathlib
import re
import unittest

TESTS = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r'^\| (\d+) \|(.*)\|$', re.M)


def rows(text):
    part = text.partition('\n## The fault catalogue\n')[2].partition('\n## ')[0]
    return {int(number): rest for number, rest in ROW.findall(part)}


def says_runs(row):
    """Whether the last column of a row says of each of its tests more than that they run."""
    return all(part.strip() not in ('', '1') for part in row.rpartition('|')[2].split(';'))


def find(name):
    """The text of the program that holds a test, or None; and how the test is written."""
    file, _, test = name.partition(':')
    if re.fullmatch(r'[\w/]+\.(py|c)', file):
        found = list(TESTS.glob(f'*/{file.rpartition("/")[2]}'))
        return (found[0].read_text() if found else None), f'def {test}(' if test else ''
    if file.startswith('fuzz_'):
        found = list(TESTS.glob(f'fuzz/{file}.c'))
        return (found[0].read_text() if found else None), ''
    suite, _, test = file.partition('.')
    for program in TESTS.glob('*/test_*.c'):
        text = program.read_text()
        if re.search(rf'Test\((?:\w+ \*\w+, )?{suite}, {test}\b', text):
            return text, test
    return None, test


class Catalogue(unittest.TestCase):
    rows = rows((TESTS / 'README.md').read_text())

    def test_no_number_is_missing(self):
        self.assertEqual(sorted(self.rows), list(range(1, 55)))

    def test_every_test_that_is_named_is_there(self):
        for number, row in self.rows.items():
            for name in re.findall(r'`([^`]+)`', row):
                with self.subTest(number=number, name=name):
                    text, want = find(name)
                    self.assertIsNotNone(text, 'there is no such test')
                    self.assertIn(want, text)

    def test_every_row_says_how_many_different_runs_there_are(self):
        for number, row in self.rows.items():
            with self.subTest(number=number):
                self.assertTrue(says_runs(row), 'say what varies, or "one way"')

    def test_a_bare_one_says_nothing(self):
        for row in (' a | b | `c` | 1 ', ' a | b | `c` | ', ' a | b | `c` | 20 days; 1 '):
            self.assertFalse(says_runs(row), row)
        for row in (' a | b | `c` | one way ', ' a | b | `c` | 10 ', ' a | b | `c` | 1 moment '):
            self.assertTrue(says_runs(row), row)

    def test_a_name_that_is_nobody_s_is_told(self):
        for name in ('agent_cuts.nobody', 'test_link.py:test_nobody', 'test_nobody.py'):
            text, want = find(name)
            self.assertFalse(text is not None and want in text, name)


if __name__ == '__main__':
    unittest.main()
