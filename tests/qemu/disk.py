"""The disk of the virtual gateway, made without root: a GPT with a FAT partition for the boot
loader, two slots, and a data partition."""
import os
import pathlib
import shutil

from debian import call

MIB = 1 << 20
# name, MiB, type; the first one starts at 1 MiB
PARTITIONS = (('loader', 64, 'uefi'), ('slot-a', 96, 'linux'), ('slot-b', 96, 'linux'),
              ('data', 96, 'linux'))
DISK_ID = '5105CE00-0000-4000-8000-00000000D15C'


def offset_of(name):
    """Where a partition begins, in bytes."""
    at = MIB
    for known, mib, _ in PARTITIONS:
        if known == name:
            return at
        at += mib * MIB
    raise KeyError(name)


def write_at(disk, offset, source):
    """Copy a file into the disk; holes stay holes."""
    with open(source, 'rb') as src, open(disk, 'r+b') as dst:
        dst.seek(offset)
        while block := src.read(MIB):
            if block.count(0) == len(block):
                dst.seek(len(block), os.SEEK_CUR)
            else:
                dst.write(block)


def make_fat(image, tree):
    """A FAT file system with the files of a folder."""
    image.unlink(missing_ok=True)
    with open(image, 'wb') as f:
        f.truncate(PARTITIONS[0][1] * MIB)
    call('mformat', '-i', image, '-v', 'LOADER', '-N', '51051051', '::')
    for entry in sorted(tree.iterdir()):
        call('mcopy', '-s', '-i', image, entry, '::')


def make_data(image, tree):
    """An ext4 file system with the files of a folder. Without checksums, as deploy/boot/README.md
    says: with them, a superblock of which a cut left one sector of two is never mounted again."""
    image.unlink(missing_ok=True)
    mib = next(m for name, m, _ in PARTITIONS if name == 'data')
    call('mke2fs', '-q', '-F', '-t', 'ext4', '-O', '^metadata_csum', '-d', tree,
         '-L', 'data', image, f'{mib}M')


def make_disk(disk, loader, slot_a, data):
    """Lay everything out. Slot b stays empty."""
    disk.unlink(missing_ok=True)
    with open(disk, 'wb') as f:
        f.truncate((sum(m for _, m, _ in PARTITIONS) + 2) * MIB)
    lines = ['label: gpt', f'label-id: {DISK_ID}', 'unit: sectors']
    for number, (name, mib, kind) in enumerate(PARTITIONS):
        more = ', attrs=LegacyBIOSBootable' if number == 0 else ''  # where U-Boot looks
        lines.append(f'start={offset_of(name) // 512}, size={mib * MIB // 512}, type={kind}, '
                     f'name={name}{more}')
    call('sfdisk', '-q', disk, input='\n'.join(lines) + '\n')
    for name, source in (('loader', loader), ('slot-a', slot_a), ('data', data)):
        write_at(disk, offset_of(name), source)


class FileDisk:
    """A disk whose every write survives: what QEMU handed to the host is never lost when
    QEMU is killed, flushed or not."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def drive(self):
        return f'file={self.path},format=raw,cache=writeback'

    def power_on(self):
        pass

    def cut(self):
        """Nothing was kept back, so nothing is lost."""

    def read(self, offset, length):
        with open(self.path, 'rb') as f:
            f.seek(offset)
            return f.read(length)

