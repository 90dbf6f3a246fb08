"""Boot loaders between slots of type `block`. What each does when the power comes on is told
again here in Python, from deploy/boot; what it would boot next must be whole at every
moment. Which slot runs the kernel's command line says, as shim.c lets it be read."""
import re
import struct
import zlib

from slots import BlockSlots, DirectorySlots, FileSlots
from state import Wrong

TRIES = 3


def write(device, path, offset, data):
    """What a boot loader writes."""
    with open(path, 'r+b') as f:
        f.seek(offset)
        f.write(data)
    if device.shim:
        device.shim.note('write', path, offset=offset, data=data)


class CountedSlots(BlockSlots):
    """A boot loader whose script counts boots in variables."""

    FIRST = {'ORDER': 'A B', 'A_LEFT': '3', 'A_STATE': 'good', 'B_LEFT': '0', 'B_STATE': 'bad',
             'SCRIPT': '1'}

    @staticmethod
    def choose(variables):
        """The slot that the script boots; boots are given back where none are left."""
        order = variables['ORDER'].split()
        for again in (False, True):
            for slot in order:
                if variables[f'{slot}_STATE'] != 'bad' and int(variables[f'{slot}_LEFT']) > 0:
                    return slot
            for slot in () if again else order:
                if variables[f'{slot}_STATE'] == 'good':
                    variables[f'{slot}_LEFT'] = str(TRIES)
        raise Wrong(f'the boot loader has nothing to boot: {variables}')

    @classmethod
    def power_on(cls, device):
        variables = cls.read(device.disk)
        slot = cls.choose(variables)
        variables[f'{slot}_LEFT'] = str(int(variables[f'{slot}_LEFT']) - 1)
        variables['SCRIPT'] = '1'
        write(device, *cls.change(device.disk, variables))
        boot(device, slot)

    @classmethod
    def running(cls, folder):
        """What the next boot would run."""
        return cls.image(folder, 'AB'.index(cls.choose(cls.read(folder))))


def boot(device, slot):
    """Tell the kernel."""
    (device.dir / 'cmdline').write_text(f'quiet sluice.slot={slot.lower()}\n')


class GrubSlots(CountedSlots):
    """GRUB: deploy/boot/grub.cfg."""

    name = 'block-grub'
    boot_config = 'boot: {loader: grub, path: disk/grubenv}\n'
    HEAD, LENGTH = '# GRUB Environment Block\n', 1024

    @classmethod
    def prepare(cls, kit, folder):
        super().prepare(kit, folder)
        for name in ('grubenv', 'grubenv.2'):
            (folder / name).write_bytes(cls.block(cls.FIRST))

    @classmethod
    def block(cls, variables):
        text = cls.HEAD + ''.join(f'{k}={v}\n' for k, v in variables.items())
        return text.encode().ljust(cls.LENGTH, b'#')

    @classmethod
    def change(cls, folder, variables):
        """(path, offset, bytes) to be written."""
        return folder / 'grubenv', 0, cls.block(variables)

    @classmethod
    def read(cls, folder):
        """The variables of the first block that is one."""
        for name in ('grubenv', 'grubenv.2'):
            raw = (folder / name).read_bytes()
            if len(raw) == cls.LENGTH and raw.startswith(cls.HEAD.encode()):
                return dict(line.split('=', 1) for line in raw.decode().splitlines()
                            if '=' in line)
        raise Wrong('no environment of GRUB can be read')


class UbootSlots(CountedSlots):
    """U-Boot: deploy/boot/uboot.cmd, with an environment of two copies in a file. The agent
    changes it by fw_setenv, which is as much under the shim as the agent is."""

    name = 'block-uboot'
    boot_config = 'boot: {loader: uboot, path: fw_env.config}\n'
    tools = {n: f'/usr/bin/{n}' for n in ('fw_printenv', 'fw_setenv')}
    LENGTH, HEAD = 4096, struct.Struct('<IB')  # of a copy: crc32 of what follows, a number

    @classmethod
    def prepare(cls, kit, folder):
        super().prepare(kit, folder)
        (folder / 'env').write_bytes(2 * cls.copy(1, cls.FIRST))

    @classmethod
    def copy(cls, number, variables):
        data = b''.join(f'BOOT_{k}={v}\0'.encode() for k, v in variables.items())
        data = data.ljust(cls.LENGTH - cls.HEAD.size, b'\0')
        return cls.HEAD.pack(zlib.crc32(data), number) + data

    @classmethod
    def copies(cls, folder):
        """(number, place, variables) of the copies that are whole, the newest last."""
        raw, found = (folder / 'env').read_bytes(), []
        for place in (0, 1):
            one = raw[place * cls.LENGTH:(place + 1) * cls.LENGTH]
            crc, number = cls.HEAD.unpack_from(one)
            if zlib.crc32(one[cls.HEAD.size:]) == crc:
                lines = one[cls.HEAD.size:].split(b'\0\0')[0].decode().split('\0')
                found.append((number, place, {k.removeprefix('BOOT_'): v for k, v in
                                              (line.split('=', 1) for line in lines)}))
        if not found:
            raise Wrong('no environment of U-Boot can be read')
        newest = 0 if {n for n, _, _ in found} == {0, 255} else max(n for n, _, _ in found)
        return sorted(found, key=lambda copy: copy[0] == newest)

    @classmethod
    def read(cls, folder):
        return dict(cls.copies(folder)[-1][2])

    @classmethod
    def change(cls, folder, variables):
        """As U-Boot does: the other copy, with the next number."""
        number, place, _ = cls.copies(folder)[-1]
        return (folder / 'env', (1 - place) * cls.LENGTH,
                cls.copy((number + 1) % 256, variables))

    @classmethod
    def power_on(cls, device):
        (device.dir / 'fw_env.config').write_text(
            f'{device.disk}/env 0x0 {cls.LENGTH:#x}\n'
            f'{device.disk}/env {cls.LENGTH:#x} {cls.LENGTH:#x}\n')
        super().power_on(device)


class SystemdSlots(BlockSlots):
    """systemd-boot: what it knows is in the names of its entries, and a change is a rename.
    Here they are in a file system that renames at once, which FAT does not."""

    name = 'block-systemd'
    boot_config = 'boot: {loader: systemd-boot, path: disk/entries}\n'
    NAME = re.compile(r'sluice-(\d+)-([ab])(?:\+(\d+)(?:-(\d+))?)?\.conf')

    @classmethod
    def prepare(cls, kit, folder):
        super().prepare(kit, folder)
        (folder / 'entries').mkdir()
        for slot, name in (('a', 'sluice-2-a.conf'), ('b', 'sluice-1-b.off')):
            for file in (name, f'sluice-{slot}.template'):
                (folder / 'entries' / file).write_text(f'title slot {slot}\n')

    @classmethod
    def choose(cls, folder):
        """(path, rank, slot, tries left or None, done) of the entry that it boots: the one
        that sorts last, one without tries only if there is no other."""
        found = []
        for path in (folder / 'entries').iterdir():
            m = cls.NAME.fullmatch(path.name)
            if m:
                left = None if m[3] is None else int(m[3])
                found.append((left != 0, int(m[1]), m[2], left, int(m[4] or 0), path))
        if not found:
            raise Wrong('systemd-boot has nothing to boot')
        best = max(found, key=lambda f: f[:3])
        if best[-1].read_text() != f'title slot {best[2]}\n':
            raise Wrong(f'entry {best[-1].name} is not what it was')
        return best

    @classmethod
    def power_on(cls, device):
        _, rank, slot, left, done, path = cls.choose(device.disk)
        if left:
            fresh = path.with_name(f'sluice-{rank}-{slot}+{left - 1}-{done + 1}.conf')
            path.rename(fresh)
            if device.shim:
                device.shim.note('rename', path, fresh)
        boot(device, slot)

    @classmethod
    def running(cls, folder):
        return cls.image(folder, 'ab'.index(cls.choose(folder)[2]))


class CustomSlots(BlockSlots):
    """An executable of one's own: boot_custom, which keeps a line in a file."""

    name = 'block-custom'
    boot_config = 'boot: {loader: custom, path: bin/boot}\n'
    tools = {'boot': f'/bin/sh {__file__.removesuffix("loaders.py")}boot_custom'}

    @classmethod
    def prepare(cls, kit, folder):
        super().prepare(kit, folder)
        (folder / 'boot').write_text('a good - bad -\n')

    @staticmethod
    def read(folder):
        primary, *slots = (folder / 'boot').read_text().split()
        return {'primary': primary, 'a': tuple(slots[:2]), 'b': tuple(slots[2:])}

    @classmethod
    def choose(cls, knows):
        for slot in sorted('ab', key=lambda s: s != knows['primary']):
            state, left = knows[slot]
            if state == 'good' or (state == 'trial' and left not in ('-', '0')):
                return slot
        raise Wrong(f'the boot loader has nothing to boot: {knows}')

    @classmethod
    def power_on(cls, device):
        knows = cls.read(device.disk)
        slot = cls.choose(knows)
        state, left = knows[slot]
        if state == 'trial':  # a digit, so the line keeps its length
            knows[slot] = state, str(int(left) - 1)
            line = ' '.join((knows['primary'], *knows['a'], *knows['b']))
            write(device, device.disk / 'boot', 0, f'{line}\n'.encode())
        boot(device, slot)

    @classmethod
    def running(cls, folder):
        return cls.image(folder, 'ab'.index(cls.choose(cls.read(folder))))


BACKENDS = {b.name: b for b in (FileSlots, DirectorySlots, BlockSlots, GrubSlots, UbootSlots,
                                SystemdSlots, CustomSlots)}
SAMPLED = (UbootSlots.name, SystemdSlots.name, CustomSlots.name)  # by day little is tried
