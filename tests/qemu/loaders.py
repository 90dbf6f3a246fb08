"""The boot loaders of the virtual gateway: firmware, files of the first partition, and what
agent.yaml says of them."""
import pathlib
import shutil

from debian import call

HERE = pathlib.Path(__file__).resolve().parent
CONSOLE = 'console=ttyAMA0 quiet panic=1'


class Loader:
    """What all have in common."""

    @staticmethod
    def image(system, version, newer, changes):
        return system.image(version, newer, changes)

    @staticmethod
    def slots(version, counter):
        """What agent.yaml says of the slots."""
        return (f'slot:\n  type: file\n  dir: slots\n  initial: /usr/bin/busybox\n'
                f'  initial_version: {version}\n  initial_counter: {counter}')


class UBoot(Loader):
    """U-Boot of Debian's u-boot-qemu."""

    firmware = 'uboot'

    @staticmethod
    def prepare(system, folder):
        folder.mkdir()
        call('mkimage', '-q', '-A', 'arm64', '-T', 'script', '-C', 'none', '-d',
             HERE / 'guest/uboot.cmd', folder / 'boot.scr')


class Grub(Loader):
    """GRUB on EFI firmware."""

    firmware = 'efi'
    modules = '''part_gpt fat ext2 normal linux echo test search search_label loadenv serial
    terminal configfile reboot sleep true'''.split()

    def prepare(self, system, folder):
        modules = system.packages.loaders / 'usr/lib/grub/arm64-efi'
        (folder / 'EFI/BOOT').mkdir(parents=True)
        (folder / 'grub').mkdir()
        early = folder / 'early.cfg'
        early.write_text('search --no-floppy --label LOADER --set=root\n'
                         'set prefix=($root)/grub\nconfigfile ($root)/grub/grub.cfg\n')
        call('grub-mkimage', '-O', 'arm64-efi', '-d', modules, '-p', '/grub', '-c', early,
             '-o', folder / 'EFI/BOOT/BOOTAA64.EFI', *self.modules)
        early.unlink()
        (folder / 'grub/grub.cfg').write_text(f'''
linux (hd0,gpt2)/boot/vmlinuz {CONSOLE} root=/dev/vda2 sluice.slot=a
initrd (hd0,gpt2)/boot/initrd.gz
boot
''')


class SystemdBoot(Loader):
    """systemd-boot, which takes kernels from its own partition alone: it is not part of the
    image."""

    firmware = 'efi'

    def prepare(self, system, folder):
        (folder / 'EFI/BOOT').mkdir(parents=True)
        (folder / 'loader/entries').mkdir(parents=True)
        shutil.copy(system.packages.loaders / 'usr/lib/systemd/boot/efi/systemd-bootaa64.efi',
                    folder / 'EFI/BOOT/BOOTAA64.EFI')
        shutil.copy(system.kernel / 'vmlinuz', folder / 'vmlinuz')
        (folder / 'initrd.gz').write_bytes(system.initrd)
        (folder / 'loader/loader.conf').write_text('timeout 0\n')
        for slot, device, name in (('a', '/dev/vda2', 'sluice-1-a.conf'),):
            (folder / 'loader/entries' / name).write_text(f'''title {slot}
linux /vmlinuz
initrd /initrd.gz
options {CONSOLE} root={device} sluice.slot={slot}
''')


LOADERS = {'uboot': UBoot(), 'grub': Grub(), 'systemd-boot': SystemdBoot()}
