"""The boot loaders of the virtual gateway: firmware, files of the first partition, and what
agent.yaml says of them."""
import shutil

from debian import TOP, call
from system import GUEST

SCRIPTS = TOP / 'deploy/boot'
CONSOLE = 'console=ttyAMA0 quiet panic=1'
SLOTS = {'a': '/dev/vda2', 'b': '/dev/vda3'}
FRESH = {'a': ('good', 3), 'b': ('bad', 0)}  # slot -> state, boots left


class Loader:
    """What all have in common."""

    tried = 'sluice: slot b, left'  # the console, at each try of slot b

    @staticmethod
    def image(system, version, newer, changes):
        return system.image(version, newer, changes)

    def agent(self, mib, version, counter):
        """What agent.yaml says of the slots and of the boot loader."""
        return (f'slot:\n  type: block\n  a: {SLOTS["a"]}\n  b: {SLOTS["b"]}\n'
                f'  initial_size: {mib}M\n  initial_version: {version}\n'
                f'  initial_counter: {counter}\nboot:\n{self.boot}')


def variables(order, states):
    return {'ORDER': order, 'A_LEFT': states['a'][1], 'A_STATE': states['a'][0],
            'B_LEFT': states['b'][1], 'B_STATE': states['b'][0], 'SCRIPT': 1}


class UBoot(Loader):
    """U-Boot of Debian's u-boot-qemu. Its own environment is in flash, which Debian's kernel
    has no driver for; so the script keeps ours in a file."""

    firmware = 'uboot'
    boot = '  loader: uboot\n'

    def prepare(self, _, folder, order='A B', states=None):
        folder.mkdir()
        script = folder / 'boot.cmd'
        script.write_text((GUEST / 'board.cmd').read_text() +
                          (SCRIPTS / 'uboot.cmd').read_text())
        call('mkimage', '-q', '-A', 'arm64', '-T', 'script', '-C', 'none', '-d', script,
             folder / 'boot.scr')
        script.unlink()
        text = ''.join(f'BOOT_{k}={v}\n' for k, v in variables(order, states or FRESH).items())
        for name in ('uboot.env', 'uboot.env.2'):
            call('mkenvimage', '-s', '0x200', '-o', folder / name, '-', input=text)


class Grub(Loader):
    """GRUB on EFI firmware, its environment block beside its configuration."""

    firmware = 'efi'
    boot = '  loader: grub\n  path: /boot/loader/grub/grubenv\n'
    modules = '''part_gpt fat ext2 normal linux echo test search search_label loadenv
    configfile reboot sleep true'''.split()

    def prepare(self, system, folder, order='A B', states=None):
        modules = system.packages.loaders / 'usr/lib/grub/arm64-efi'
        (folder / 'EFI/BOOT').mkdir(parents=True)
        (folder / 'grub').mkdir()
        early = folder / 'early.cfg'
        early.write_text('search --no-floppy --label LOADER --set=root\n'
                         'set prefix=($root)/grub\nconfigfile ($root)/grub/grub.cfg\n')
        call('grub-mkimage', '-O', 'arm64-efi', '-d', modules, '-p', '/grub', '-c', early,
             '-o', folder / 'EFI/BOOT/BOOTAA64.EFI', *self.modules)
        early.unlink()
        shutil.copy(SCRIPTS / 'grub.cfg', folder / 'grub')
        shutil.copy(GUEST / 'local.cfg', folder / 'grub')
        text = '# GRUB Environment Block\n' + ''.join(
            f'{k}={v}\n' for k, v in variables(order, states or FRESH).items())
        for name in ('grubenv', 'grubenv.2'):
            (folder / 'grub' / name).write_text(text.ljust(1024, '#'))


class SystemdBoot(Loader):
    """systemd-boot on EFI firmware. It takes kernels from its own partition alone, so the
    kernel is not part of the image; it counts by renaming, and says nothing."""

    firmware = 'efi'
    tried = f'initrd: root={SLOTS["b"]}'
    boot = '  loader: systemd-boot\n  path: /boot/loader/loader/entries\n'

    def prepare(self, system, folder, order='A B', states=None):
        entries = folder / 'loader/entries'
        (folder / 'EFI/BOOT').mkdir(parents=True)
        entries.mkdir(parents=True)
        shutil.copy(system.packages.loaders / 'usr/lib/systemd/boot/efi/systemd-bootaa64.efi',
                    folder / 'EFI/BOOT/BOOTAA64.EFI')
        shutil.copy(system.kernel / 'vmlinuz', folder / 'vmlinuz')
        (folder / 'initrd.gz').write_bytes(system.initrd)
        (folder / 'loader/loader.conf').write_text('timeout 0\n')
        for slot, (state, left) in (states or FRESH).items():
            rank = 2 if order[0] == slot.upper() else 1
            end = {'good': '.conf', 'bad': '.off', 'trial': f'+{left}.conf'}[state]
            for name in (f'sluice-{slot}.template', f'sluice-{rank}-{slot}{end}'):
                (entries / name).write_text(
                    f'title slot {slot}\nlinux /vmlinuz\ninitrd /initrd.gz\n'
                    f'options {CONSOLE} root={SLOTS[slot]} sluice.slot={slot}\n')


LOADERS = {'uboot': UBoot(), 'grub': Grub(), 'systemd-boot': SystemdBoot()}
