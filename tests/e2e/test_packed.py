#!/usr/bin/env python3
"""Who publishes an image of compressed blocks is told what that costs, and what to do."""
import os
import subprocess
import unittest

from common import HARDWARE, FleetTest, make_image

os.environ['PATH'] += ':/usr/sbin:/sbin'


class Packed(FleetTest):
    def squashfs(self, name, *options):
        folder = self.dir / 'folder'
        folder.mkdir(exist_ok=True)
        make_image(folder / 'library', 1, base_mib=2)
        image = self.dir / name
        subprocess.run(['mksquashfs', folder, image, '-noappend', *options], check=True,
                       capture_output=True)
        return image

    def create(self, image, version, *words, **more):
        return self.lab.cli('release', 'create', image, '--product', 'gateway', '--version',
                            version, '--hardware', HARDWARE, *words, **more)

    def test_compressed_blocks_are_told_with_the_option_that_helps(self):
        image = self.squashfs('xz.img', '-comp', 'xz')
        warnings = self.create(image, 'xz')['warnings']
        self.assertEqual(len(warnings), 1, warnings)
        told = f'of this image\'s {image.stat().st_size / 1e6:.1f} MB are compressed (squashfs, xz).'
        self.assertIn(told, warnings[0])
        for option in ('-noI', '-noD', '-noF'):
            self.assertIn(option, warnings[0])

    def test_plain_blocks_are_not_worth_a_word(self):
        image = self.squashfs('plain.img', '-noI', '-noD', '-noF', '-noX')
        self.assertEqual(self.create(image, 'plain')['warnings'], [])

    def test_people_and_who_publishes_later_are_told_too(self):
        image, signed = self.squashfs('gzip.img', '-comp', 'gzip'), self.dir / 'release.doc'
        words = [self.lab.programs['sluice'], 'release', 'create', image, '--product=gateway',
                 '--version=gzip', '--hardware', HARDWARE, '--offline', '--counter=50',
                 '--out', signed]
        done = subprocess.run(words, cwd=self.lab.dir, capture_output=True, text=True, check=True)
        self.assertRegex(done.stdout, r'\nwarning: .* \(squashfs, gzip\)\. .*-noI')
        later = self.lab.cli('release', 'publish', signed, image)
        self.assertIn('(squashfs, gzip)', later['warnings'][0])
        self.lab.sluiced.kill()
        self.lab.start_sluiced()  # what it learned of the image is in its store
        file = self.rollout_file('packed', {'version': 'gzip'},
                                 ['name: all, cohort: lab, share: 100%'])
        planned = self.lab.cli('plan', file)
        self.assertIn(later['warnings'][0], planned['warnings'])


if __name__ == '__main__':
    unittest.main()
