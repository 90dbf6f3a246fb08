#!/usr/bin/env python3
"""`sluice diff` and `sluice patch` on files of every kind, and the stock programs beside."""
import io
import json
import os
import pathlib
import random
import shutil
import subprocess
import tarfile
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
        old = rng.randbytes(4 * MIB)
        new = old[:MIB] + rng.randbytes(1000) + old[MIB:]
        old, new = self.file('old', old), self.file('new', new)
        for image in old, new:
            os.truncate(image, 400 * MIB)
        limit = 'ulimit -v 700000; exec "$@"'
        for codec, code in (('predict', 1), ('auto', 0)):
            done = subprocess.run(['sh', '-c', limit, 'sh', SLUICE, 'diff', old, new, '-o',
                                   self.dir / 'p', '--codec', codec, '--output=json'],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(json.loads(done.stdout)['codec'], 'vcdiff')

    def archive(self, name, seed):
        """A tar archive of 25 files: file number i has i bytes at its end by the seed."""
        with tarfile.open(self.dir / name, 'w') as tar:
            for number in range(25):
                rng = random.Random(number)
                content = rng.randbytes(3000) + random.Random(seed).randbytes(100 * number)
                entry = tarfile.TarInfo(f'dir/file\x1b{number}')
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return self.dir / name

    def test_explain_tells_which_file_took_how_much(self):
        old, new = self.archive('old', 100), self.archive('new', 200)
        told = sluice('diff', old, new, '-o', self.dir / 'p', '--explain')
        explain = told['explain']
        self.assertEqual(explain['codecs'][told['codec']], told['patch_len'])
        self.assertEqual(set(explain['codecs']), {'full', 'vcdiff', 'predict'})
        self.assertEqual(sum(explain['parts'].values()), explain['codecs']['predict'])
        first = explain['items'][0]
        self.assertEqual(first['item'], r'dir/file\x1b24')
        self.assertEqual(first['len'], 5400)
        self.assertAlmostEqual(first['extra_len'] + first['wrong_len'], 2400, delta=20)
        self.assertGreater(explain['peak_memory'], MIB)

    def test_explain_shows_people_twenty_items(self):
        old, new = self.archive('old', 100), self.archive('new', 200)
        text = subprocess.run([SLUICE, 'diff', old, new, '-o', self.dir / 'p', '--explain'],
                              capture_output=True, text=True, check=True).stdout
        rows = text.split('  ITEM\n')[1].split('... and ')[0].splitlines()
        self.assertEqual(len(rows), 20)
        self.assertIn(r'dir/file\x1b24', rows[0])
        self.assertRegex(text, r'\n\.\.\. and [1-9]\d* more\n')
        self.assertRegex(text, r'\ncodecs would take: predict .*, vcdiff .*, full .*\n')
        self.assertRegex(text, r'\npeak memory: \d+\.\d [MG]B\n')

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
