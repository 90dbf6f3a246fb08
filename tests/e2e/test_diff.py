#!/usr/bin/env python3
"""`sluice diff` and `sluice patch` on files of every kind, and the stock programs beside."""
import json
import pathlib
import random
import shutil
import subprocess
import tempfile
import unittest

from common import BUILD, binaries

MIB = 1 << 20
SLUICE = binaries(BUILD)['sluice']


def sluice(*words):
    done = subprocess.run([SLUICE, *map(str, words), '--output=json'], capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise AssertionError(f'sluice {words}: {done.stderr}')
    return json.loads(done.stdout) if done.stdout else {}


class Diff(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='sluice-diff-'))
        self.addCleanup(shutil.rmtree, self.dir)

    def file(self, name, content):
        path = self.dir / name
        path.write_bytes(content)
        return path

    def round_trip(self, old, new, codec='auto'):
        old, new = self.file('old', old), self.file('new', new)
        patch, again = self.dir / 'p', self.dir / 'again'
        made = sluice('diff', old, new, '-o', patch, '--codec', codec)
        sluice('patch', old, patch, '-o', again)
        self.assertEqual(again.read_bytes(), new.read_bytes())
        self.assertLess(made['decoder_ram'], 8 * MIB)
        return made

    def test_small_identical_and_unrelated_files_come_back(self):
        rng = random.Random(1)
        some, other = rng.randbytes(MIB + 7), rng.randbytes(MIB - 3)
        pairs = {'nothing from nothing': (b'', b''), 'nothing from one byte': (b'x', b''),
                 'one byte from nothing': (b'', b'x'), 'one byte': (b'x', b'y'),
                 'identical': (some, some), 'unrelated': (some, other),
                 'something from nothing': (b'', some), 'nothing from something': (some, b'')}
        for codec in ('auto', 'full', 'vcdiff', 'predict'):
            for why, (old, new) in pairs.items():
                with self.subTest(codec=codec, why=why):
                    made = self.round_trip(old, new, codec)
                    if why == 'identical' and codec != 'full':
                        self.assertLess(made['patch_len'], 1024)

    def test_100_mb_come_back_from_a_small_delta(self):
        rng = random.Random(2)
        old = bytearray(rng.randbytes(100_000_000))
        new = bytearray(old)
        new[50_000_000:50_000_000] = rng.randbytes(100_000)
        for _ in range(500):
            at = rng.randrange(len(new) - 32)
            new[at:at + 32] = rng.randbytes(32)
        made = self.round_trip(bytes(old), bytes(new))
        self.assertEqual(made['codec'], 'predict')
        self.assertLess(made['patch_len'], 300_000)

    def test_auto_does_without_predict_where_memory_is_short(self):
        rng = random.Random(4)
        old = rng.randbytes(120 * MIB)
        new = old[:MIB] + rng.randbytes(1000) + old[MIB:]
        old, new = self.file('old', old), self.file('new', new)
        limit = 'ulimit -v 700000; exec "$@"'
        for codec, code in (('predict', 1), ('auto', 0)):
            done = subprocess.run(['sh', '-c', limit, 'sh', SLUICE, 'diff', old, new, '-o',
                                   self.dir / 'p', '--codec', codec, '--output=json'],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(json.loads(done.stdout)['codec'], 'vcdiff')

    def test_the_stock_programs_decode_a_vcdiff_patch(self):
        rng = random.Random(3)
        old = rng.randbytes(3 * MIB)
        new = old[:MIB] + rng.randbytes(1000) + old[MIB:]
        self.round_trip(old, new, 'vcdiff')
        raw, delta, out = self.dir / 'raw.zst', self.dir / 'raw', self.dir / 'out'
        sluice('patch', self.dir / 'old', self.dir / 'p', '--raw', raw)
        subprocess.run(['zstd', '-q', '-d', '-f', raw, '-o', delta], check=True)
        subprocess.run(['xdelta3', '-d', '-f', '-s', self.dir / 'old', delta, out], check=True)
        self.assertEqual(out.read_bytes(), new)

    def test_a_patch_for_another_file_is_refused_by_name(self):
        self.round_trip(b'a' * MIB, b'a' * MIB + b'b', 'vcdiff')
        wrong = self.file('wrong', b'c' * MIB)
        done = subprocess.run([SLUICE, 'patch', wrong, self.dir / 'p', '-o', self.dir / 'no'],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('wrong', done.stderr)
        self.assertFalse((self.dir / 'no').exists())


if __name__ == '__main__':
    unittest.main()
