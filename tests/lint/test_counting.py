#!/usr/bin/env python3
"""What tests/run counts is what the tests said, and a sanitizer's report fails a test."""
import pathlib
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import suites  # noqa: E402

# stdout, result by meson, passed, failed
TAP = [
    ('1..2\nok - a\nok - b\n', 'OK', 2, 0),
    ('ok - a\nnot ok - b\n', 'FAIL', 1, 1),
    ('1..0\n', 'OK', 0, 1),  # no test
    ('ok - a\n', 'TIMEOUT', 1, 1),
    ('', 'ERROR', 0, 1),
    ('ok - a # SKIP because\nok - b\n', 'OK', 1, 1),
    ('ok - a # SKIP because\n', 'SKIP', 0, 1),
    ('1..0 # SKIP because\n', 'SKIP', 0, 1),
]

# a program of unittest, passed, failed
PROGRAMS = [
    ('def test_a(self): pass\n    def test_b(self): pass', 2, 0),
    ('def test_a(self): pass\n    def test_b(self): self.fail()', 1, 1),
    ('def test_a(self): raise OSError', 0, 1),
    ('def test_a(self): self.skipTest("why")', 0, 1),
    ('@classmethod\n    def setUpClass(cls): raise OSError\n    def test_a(self): pass', 0, 1),
    ('pass', 0, 1),  # no test
    ('def test_a(self): pass\n    def test_b(self): import os; os._exit(1)', 1, 1),
    ('def test_a(self): import os; os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")', 1, 1),
]

# a C program's main, exit status under the wrapper
REPORTS = [
    ('return 0;', 0),
    ('return 3;', 3),
    ('char *volatile p;\n\tif (fork() == 0) {\n\t\tfor (int i = 0; i < 9; i++)\n'
     '\t\t\tp = malloc(9);\n\t\treturn 0;\n\t}\n\twait(0);\n\treturn 0;', 1),  # a child leaked, the program was content
    ('int volatile big = 2147483647; big++; return 0;', 1),
]


# stdout of TAP and a body of unittest, either for root alone
FOR_ROOT = ('ok - a # SKIP SKIPPED, not root: why\nok - b\n',
            'def test_a(self): self.skipTest("SKIPPED: not root, so what")\n    '
            'def test_b(self): pass')


def count(results):
    return sum(ok is True for _, ok in results), sum(ok is False for _, ok in results)


def run_unittest(folder, body):
    program = pathlib.Path(folder) / 'test_x.py'
    program.write_text('import unittest\nclass T(unittest.TestCase):\n    '
                       f'{body}\nunittest.main()\n')
    return suites.unittest_program(program, 'build', None)


class Counting(unittest.TestCase):
    def test_tap_is_counted_by_its_lines(self):
        for stdout, result, passed, failed in TAP:
            with self.subTest(stdout=stdout, result=result):
                entry = {'name': 'x', 'stdout': stdout, 'result': result}
                self.assertEqual((passed, failed), count(suites.tap_results(entry, True)))

    def test_a_plain_test_is_one_test(self):
        for result, expected in (('OK', (1, 0)), ('FAIL', (0, 1)), ('SKIP', (0, 1))):
            entry = {'name': 'x', 'stdout': 'ok', 'result': result}
            self.assertEqual(expected, count(suites.tap_results(entry, False)))

    def test_unittest_is_counted_by_its_own_words(self):
        with tempfile.TemporaryDirectory(dir=HERE) as folder:
            for body, passed, failed in PROGRAMS:
                with self.subTest(body=body):
                    self.assertEqual((passed, failed), count(run_unittest(folder, body)))

    def test_what_only_root_can_run_has_neither_passed_nor_failed(self):
        for uid, caps, verdict in ((0, 1 << 21, False), (1000, 0, None), (0, 1 << 20, None)):
            with tempfile.TemporaryDirectory(dir=HERE) as folder, \
                    unittest.mock.patch('suites.capabilities', return_value=caps), \
                    unittest.mock.patch('os.geteuid', return_value=uid):
                tap = suites.tap_results({'name': 'x', 'stdout': FOR_ROOT[0], 'result': 'OK'},
                                         True)
                for results in (tap, run_unittest(folder, FOR_ROOT[1])):
                    self.assertCountEqual([True, verdict], [ok for _, ok in results])
                alone = {'name': 'x', 'stdout': FOR_ROOT[0].split('\n')[0], 'result': 'SKIP'}
                self.assertEqual([verdict], [ok for _, ok in suites.tap_results(alone, True)])
        self.assertEqual(suites.closing_line([('a', True), ('b', None)]),
                         '1 passed, 0 failed, 1 for root only')

    def test_without_a_browser_its_suite_says_so_and_is_not_counted_as_passed(self):
        with unittest.mock.patch('suites.shutil.which', return_value=None):
            results = suites.browser()
        self.assertIn('for want of chromium, node', results[0][0])
        self.assertEqual(suites.closing_line(results), '0 passed, 0 failed, 1 skipped')

    def test_by_night_all_virtual_machines_run_and_by_day_a_few(self):
        everything = sorted((HERE.parent / 'qemu').glob('test_*.py'))
        for night, programs in (('1', everything),
                                ('', [p for p in everything if p.stem in suites.QEMU_BY_DAY])):
            with unittest.mock.patch.dict('os.environ', {suites.NIGHT: night}):
                self.assertEqual(programs, suites.qemu_programs())
        self.assertEqual(len(programs), len(suites.QEMU_BY_DAY))
        self.assertLess(len(programs), len(everything))
        self.assertIn(suites.NIGHT, suites.BY_NIGHT)

    def test_a_report_of_a_sanitizer_fails_the_test(self):
        with tempfile.TemporaryDirectory() as folder:
            for body, status in REPORTS:
                with self.subTest(body=body):
                    source = pathlib.Path(folder) / 'x.c'
                    source.write_text('#include <stdlib.h>\n#include <unistd.h>\n'
                                      '#include <sys/wait.h>\nint main(void)\n{\n\t'
                                      f'{body}\n}}\n')
                    subprocess.run(['clang', '-fsanitize=address,undefined', source, '-o',
                                    f'{folder}/x'], check=True)
                    done = subprocess.run([HERE / 'sanitized.sh', f'{folder}/x'],
                                          stderr=subprocess.PIPE)
                    self.assertEqual(status, done.returncode, done.stderr)


if __name__ == '__main__':
    unittest.main()
