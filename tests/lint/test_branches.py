#!/usr/bin/env python3
"""The list of branches that no test takes is exact: neither too short nor too long."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import branches  # noqa: E402

FILE = 'agent/core/judge.c'
LINE = '#include <string.h>'  # its first line


def report(missed, files=branches.DECIDES):
    """As gcovr writes it: some branches of the first line of FILE were never taken."""
    lines = [{'line_number': 1, 'branches': [{'count': 1}] + [{'count': 0}] * missed},
             {'line_number': 2}]
    return {'files': [{'file': f, 'lines': lines if f == FILE else []} for f in files]}


def readme(count, why='because'):
    return f'| file | line |\n|---|---|\n| `{FILE}` | `{LINE}` | {count} | {why} |\n'


class Branches(unittest.TestCase):
    def test_what_is_taken_needs_no_list(self):
        self.assertEqual(branches.compare(report(0), ''), [])

    def test_what_is_listed_may_be_missed(self):
        self.assertEqual(branches.compare(report(2), readme(2)), [])

    def test_what_is_not_listed_is_told_with_its_line(self):
        self.assertEqual(branches.compare(report(1), ''),
                         [f'{FILE}: 1 branches never taken: {LINE}'])

    def test_one_more_than_listed_is_told(self):
        self.assertEqual(branches.compare(report(3), readme(2)),
                         [f'{FILE}: 3 branches never taken: {LINE}'])

    def test_a_row_that_is_not_needed_any_more_is_told(self):
        self.assertEqual(branches.compare(report(1), readme(2)),
                         [f'{FILE}: listed, but taken: {LINE}'])

    def test_what_only_root_takes_is_listed_for_others_alone(self):
        listed = readme(2, 'not root: nobody else can')
        self.assertEqual(branches.compare(report(2), listed, False), [])
        self.assertEqual(branches.compare(report(0), listed, True), [])
        self.assertEqual(branches.compare(report(2), listed, True),
                         [f'{FILE}: 2 branches never taken: {LINE}'])

    def test_a_file_that_was_not_measured_is_told(self):
        self.assertEqual(branches.compare(report(0, branches.DECIDES[1:]), ''),
                         [f'{branches.DECIDES[0]}: not measured'])

    def rest_of(self, taken, missed):
        whole = report(0)
        whole['files'].append({'file': 'agent/main.c', 'lines': [
            {'line_number': 1, 'branches': [{'count': 1}] * taken + [{'count': 0}] * missed}]})
        return branches.compare(whole, '')

    def test_most_of_the_rest_of_the_agent_is_taken(self):
        self.assertEqual(self.rest_of(branches.REST_PERCENT, 100 - branches.REST_PERCENT), [])
        wrong = self.rest_of(branches.REST_PERCENT - 1, 101 - branches.REST_PERCENT)
        self.assertEqual(len(wrong), 1)
        self.assertIn('the rest of the agent', wrong[0])


if __name__ == '__main__':
    unittest.main()
