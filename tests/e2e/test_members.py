#!/usr/bin/env python3
"""What is found inside images that the real tools made: every file, byte for byte."""
import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import unittest

from common import BUILD

MEMBERS = BUILD / 'tests/e2e/members'
os.environ['PATH'] += ':/usr/sbin:/sbin'


def make_folder(top):
    """Files of every size around a block, many in one folder, one deep, one long."""
    rng = random.Random(7)
    for size in (1, 59, 60, 61, 100, 150, 1023, 1024, 1025, 4095, 4096, 4097, 20000, 300000):
        (top / f'of {size} bytes').write_bytes(rng.randbytes(size))
    (top / 'large').write_bytes(rng.randbytes(5 << 20))
    (top / 'empty').touch()
    many = top / 'many'
    many.mkdir()
    for i in range(400):
        (many / f'file-with-a-name-of-some-length-{i:04}').write_bytes(rng.randbytes(i + 1))
    deep = top.joinpath(*['a-folder'] * 20)
    deep.mkdir(parents=True)
    (deep / ('n' * 150)).write_bytes(b'deep')
    (top / 'a link').symlink_to('large')
    (top / 'z-hard').hardlink_to(top / 'of 4097 bytes')


def content_of(folder, but=()):
    """path -> digest, of what should be found; of hard links any one."""
    found = {}
    for path in sorted(folder.rglob('*')):
        name = str(path.relative_to(folder))
        if path.is_file() and not path.is_symlink() and path.stat().st_size and name not in but:
            found[name] = hashlib.blake2b(path.read_bytes(), digest_size=32).hexdigest()
    return found


def run(*words, **more):
    subprocess.run([str(w) for w in words], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, **more)


class Members(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix='sluice-members-'))
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.folder = cls.dir / 'folder'
        cls.folder.mkdir()
        make_folder(cls.folder)
        cls.content = content_of(cls.folder)

    def find(self, image, *options):
        """(container, packing, packed bytes, advice) and path -> digest"""
        done = subprocess.run([MEMBERS, *options, image], capture_output=True, text=True,
                              check=True)
        head, *lines = done.stdout.splitlines()
        container, packing, packed, advice = head.split(' ', 3)
        found = {}
        for line in lines:
            _, digest, path = line.split(' ', 2)
            self.assertNotIn(path, found)
            found[path] = digest
        return (container, packing, int(packed), advice), found

    def expect_all(self, image, container, prefix=''):
        """All files are found, and nothing is said to be compressed."""
        (kind, packing, packed, advice), found = self.find(image)
        self.assertEqual((kind, packing, packed, advice), (container, 'none', 0, '-'))
        links = {prefix + 'of 4097 bytes', prefix + 'z-hard'}
        self.assertEqual(len(links & set(found)), 1, 'one of two names of a file')
        want = {prefix + path: digest for path, digest in self.content.items()}
        self.assertEqual(found, {p: d for p, d in want.items() if p not in links - set(found)})

    def ext(self, *options, folder=None):
        image = self.dir / 'ext.img'
        image.unlink(missing_ok=True)
        run('mkfs.ext4', '-q', '-F', *options, '-d', folder or self.folder, image, '24M')
        return image

    def test_ext_of_every_make(self):
        for options in (('-b', '1024'), ('-b', '4096'), ('-b', '4096', '-I', '128'),
                        ('-b', '1024', '-O', '^64bit,^metadata_csum'),
                        ('-b', '4096', '-O', '64bit,metadata_csum'),
                        ('-b', '1024', '-O', '^extents,^64bit'),
                        ('-b', '4096', '-O', '^extents,^64bit'),
                        ('-b', '4096', '-O', 'inline_data'), ('-b', '1024', '-O', '^flex_bg'),
                        ('-t', 'ext2', '-b', '1024'), ('-t', 'ext3', '-b', '4096')):
            with self.subTest(options=options):
                self.expect_all(self.ext(*options), 'ext4')

    def test_ext_with_indexed_folders(self):
        image = self.ext('-b', '1024')
        subprocess.run(['e2fsck', '-fyD', image], capture_output=True, check=False)
        self.expect_all(image, 'ext4')

    def test_ext_of_files_in_pieces(self):
        """Every other block was freed before the file came, so it lies in thousands of
        pieces below a tree of extents."""
        image, script = self.ext('-b', '1024', '-N', '8000'), self.dir / 'script'
        small = self.dir / 'small'
        small.write_bytes(b'x')
        script.write_text('\n'.join([f'write {small} s{i}' for i in range(6000)] +
                                    [f'rm s{i}' for i in range(0, 6000, 2)] +
                                    [f'write "{self.folder}/large" again']) + '\n')
        run('debugfs', '-w', '-f', script, image)
        _, found = self.find(image)
        self.assertEqual(found['again'], self.content['large'])
        self.assertEqual(len(found), 3000 + len(self.content))

    def test_a_file_with_holes_is_a_member_for_who_asks(self):
        folder = self.dir / 'holes'
        folder.mkdir()
        (folder / 'sparse').write_bytes(b'y' * 4096 + bytes(8192) + b'v' * 4096)
        (folder / 'sparse-begin').write_bytes(bytes(4096) + b'u' * 4097)
        (folder / 'sparse-end').write_bytes(b'z' * 4096 + bytes(4096))
        (folder / 'whole').write_bytes(b'x' * 9000)
        content = content_of(folder)
        (folder / 'hole').write_bytes(b'x' * 5000 + bytes(40960))
        for options in ((), ('-O', '^extents,^64bit')):
            image = self.ext('-b', '4096', *options, folder=folder)
            self.assertEqual(list(self.find(image)[1]), ['whole'])
            self.assertEqual(self.find(image, '--holes')[1], content)
        image = self.dir / 'holes.img'
        run('mksquashfs', folder, image, '-noappend', '-noD', '-noF', '-b', '4096')
        self.assertEqual(list(self.find(image)[1]), ['whole'])
        self.assertEqual(self.find(image, '--holes')[1], content)

    def squashfs(self, *options):
        image = self.dir / 'squashfs.img'
        run('mksquashfs', self.folder, image, '-noappend', *options)
        return image

    def test_squashfs_with_plain_blocks(self):
        for options in ((), ('-noI',), ('-noI', '-noId', '-noX'), ('-comp', 'zstd'),
                        ('-b', '4096', '-noI'), ('-no-fragments', '-noI'),
                        ('-always-use-fragments', '-noI'), ('-comp', 'xz', '-noI')):
            with self.subTest(options=options):
                self.expect_all(self.squashfs('-noD', '-noF', *options), 'squashfs')

    def test_squashfs_with_packed_blocks_is_told(self):
        text = self.folder / 'text'
        text.write_text('all work and no play\n' * 50000)
        self.addCleanup(text.unlink)
        for name in ('gzip', 'xz', 'zstd', 'lzo', 'lz4'):
            with self.subTest(name=name):
                (kind, packing, packed, advice), _ = self.find(self.squashfs('-comp', name))
                self.assertEqual((kind, packing), ('squashfs', name))
                self.assertGreater(packed, 100)
        image = self.squashfs('-comp', 'xz', '-noD', '-noF')  # of which no folder can be read
        (_, packing, _, advice), found = self.find(image)
        self.assertEqual((packing, found), ('xz', {}))
        self.assertIn('-noI', advice)

    def test_erofs_of_every_plain_make(self):
        image = self.dir / 'erofs.img'
        for options in ((), ('-Eforce-inode-compact',), ('-Eforce-inode-extended',),
                        ('-Enoinline_data',), ('-x-1',), ('--chunksize=65536',),
                        ('--chunksize=65536', '-Eforce-chunk-indexes')):
            with self.subTest(options=options):
                image.unlink(missing_ok=True)
                run('mkfs.erofs', *options, image, self.folder)
                self.expect_all(image, 'erofs')

    def test_erofs_of_shared_chunks(self):
        """Chunks that are equal are stored once, and belong to one file."""
        image, folder = self.dir / 'erofs.img', self.dir / 'shared'
        folder.mkdir()
        large = (self.folder / 'large').read_bytes()
        for name, content in (('a', large), ('b', large[4096:8192] + large), ('c', b'c' * 9000)):
            (folder / name).write_bytes(content)
        run('mkfs.erofs', '--chunksize=4096', image, folder)
        _, found = self.find(image)
        self.assertEqual(found, {'a': self.content['large']})  # c has one chunk twice

    def test_erofs_with_packed_blocks_is_told(self):
        image = self.dir / 'erofs.img'
        (self.folder / 'text').write_text('all work and no play\n' * 50000)
        self.addCleanup((self.folder / 'text').unlink)
        run('mkfs.erofs', '-zlz4hc', image, self.folder)
        (kind, packing, packed, _), found = self.find(image)
        self.assertEqual((kind, packing), ('erofs', 'lz4'))
        self.assertGreater(packed, 4000)
        self.assertNotIn('text', found)
        self.assertEqual(found['large'], self.content['large'])

    def test_tar_of_every_make(self):
        image = self.dir / 'tar.img'
        for options in (('--format=gnu',), ('--format=pax',), ('--format=pax', '--xattrs'),
                        ('--format=gnu', '--sparse'), ('--format=pax', '--sparse')):
            for names in (['.'], sorted(p.name for p in self.folder.iterdir())):
                with self.subTest(options=options, names=names):
                    run('tar', *options, '-cf', image, '-C', self.folder, *names)
                    self.expect_all(image, 'tar')

    def test_cpio_of_both_makes(self):
        image = self.dir / 'cpio.img'
        for make in ('newc', 'crc'):
            with self.subTest(make=make), open(image, 'wb') as out:
                names = subprocess.run(['find', '.', '-print0'], cwd=self.folder, check=True,
                                       capture_output=True).stdout
                subprocess.run(['cpio', '-0', '-o', '-H', make, '--quiet'], input=names,
                               cwd=self.folder, stdout=out, check=True)
                self.expect_all(image, 'cpio')

    def test_partitions_and_archives_in_files(self):
        inner = self.dir / 'inner'
        inner.mkdir()
        run('tar', '-cf', inner / 'x.tar', '-C', self.folder, '.')
        # mkfs would make holes of the zeros at the end
        (inner / 'x.tar').write_bytes((inner / 'x.tar').read_bytes().rstrip(b'\0'))
        image, disk = self.ext('-b', '4096', folder=inner), self.dir / 'disk.img'
        self.expect_all(image, 'ext4', 'x.tar/')
        for label in ('gpt', 'dos'):
            with self.subTest(label=label):
                disk.unlink(missing_ok=True)
                disk.touch()
                os.truncate(disk, 40 << 20)
                run('sfdisk', disk, input=f'label: {label}\nstart=2048, size=4096\n'
                    f'start=8192, size={24 << 11}\n'.encode())
                run('dd', f'if={image}', f'of={disk}', 'bs=1M', 'seek=4', 'conv=notrunc')
                self.expect_all(disk, 'disk', 'p2/x.tar/')

    def test_no_structure_is_raw(self):
        image = self.dir / 'raw.img'
        for content in (b'', b'x', b'\x7fELF' + bytes(5000), random.Random(3).randbytes(100000)):
            image.write_bytes(content or b'\0')
            self.assertEqual(self.find(image), (('raw', 'none', 0, '-'), {}))

    def test_a_compressed_image_is_told(self):
        image = self.dir / 'tar.img'
        run('tar', '-cf', image, '-C', self.folder, 'large')
        for tool, name in (('gzip', 'gzip'), ('xz', 'xz'), ('zstd', 'zstd'), ('bzip2', 'bzip2')):
            with self.subTest(tool=tool):
                packed = self.dir / 'packed'
                with open(packed, 'wb') as out:
                    subprocess.run([tool, '-c', image], stdout=out, check=True)
                (kind, packing, length, advice), found = self.find(packed)
                self.assertEqual((kind, packing, found), ('raw', name, {}))
                self.assertEqual(length, packed.stat().st_size)
                self.assertIn('one compressed stream', advice)


if __name__ == '__main__':
    unittest.main()
