"""A virtual gateway: QEMU's arm64 board without acceleration, its serial console in a log with
wall-clock stamps. Pulling its plug is kill -9."""
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

from debian import CACHE, Failed, call

UBOOT = pathlib.Path('/usr/lib/u-boot/qemu_arm64/u-boot.bin')
EFI_CODE = pathlib.Path('/usr/share/AAVMF/AAVMF_CODE.fd')
EFI_VARS = pathlib.Path('/usr/share/AAVMF/AAVMF_VARS.fd')
FLASH_BYTES = 64 << 20
UBOOT_ENV_BYTES = 0x40000  # in flash; the counters of the slots are not kept there
MEMORY_MIB = 512


def uboot_flash():
    """Flash that spares U-Boot its two seconds of waiting for a key; for the rest it keeps
    to its own default environment."""
    flash = CACHE / 'uboot-flash.img'
    if not flash.exists():
        text = 'bootdelay=-2\nbootcmd=env default -a; run distro_bootcmd\n'
        call('mkenvimage', '-s', UBOOT_ENV_BYTES, '-o', flash, '-', input=text)
        with open(flash, 'r+b') as f:
            f.truncate(FLASH_BYTES)
    return flash


class Machine:
    """One virtual machine and its disk. Firmware is 'uboot' or 'efi'."""

    def __init__(self, disk, folder, firmware='uboot'):
        self.disk, self.folder, self.firmware = disk, pathlib.Path(folder), firmware
        self.console = self.folder / 'console.log'
        self.child, self.reader, self.started = None, None, 0.0
        self.lines = []  # (seconds since power on, text) since the last power on
        self.news = threading.Condition()
        self.questions = 0

    def _firmware(self):
        flash = self.folder / 'flash.img'
        if self.firmware == 'uboot':
            shutil.copy(uboot_flash(), flash)
            return ['-bios', UBOOT, '-drive', f'if=pflash,unit=1,format=raw,file={flash}']
        if not flash.exists():
            shutil.copy(EFI_VARS, flash)
        return ['-drive', f'if=pflash,unit=0,format=raw,readonly=on,file={EFI_CODE}',
                '-drive', f'if=pflash,unit=1,format=raw,file={flash}']

    def words(self):
        return ['qemu-system-aarch64', '-M', 'virt', '-cpu', 'cortex-a57', '-accel', 'tcg',
                '-smp', '1', '-m', MEMORY_MIB, '-no-user-config', '-nodefaults',
                '-display', 'none', '-serial', 'stdio', '-monitor', 'none', *self._firmware(),
                '-device', 'virtio-rng-pci', '-device', 'i6300esb', '-watchdog-action', 'reset',
                '-drive', f'{self.disk.drive()},if=none,id=disk', '-device',
                'virtio-blk-pci,drive=disk', '-netdev', 'user,id=net,ipv6=off', '-device',
                'virtio-net-pci,netdev=net,romfile=']

    def power_on(self):
        if self.child is not None:
            raise Failed('the machine runs already')
        self.lines, self.started = [], time.monotonic()
        self._note('power on')
        self.disk.power_on()
        self.child = subprocess.Popen([str(w) for w in self.words()], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      start_new_session=True)
        self.reader = threading.Thread(target=self._read, args=[self.child.stdout], daemon=True)
        self.reader.start()
        return self

    def _note(self, text):
        with open(self.console, 'a', encoding='utf-8') as log:
            log.write(f'{time.monotonic() - self.started:8.2f} ---- {text}\n')

    def _read(self, pipe):
        with pipe, open(self.console, 'a', encoding='utf-8') as log:
            for raw in pipe:
                at = time.monotonic() - self.started
                text = raw.decode('utf-8', 'replace').strip('\r\n')
                log.write(f'{at:8.2f} {text}\n')
                log.flush()
                with self.news:
                    self.lines.append((at, text))
                    self.news.notify_all()
        with self.news:
            self.lines.append((time.monotonic() - self.started, '---- end of console'))
            self.news.notify_all()

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def mark(self):
        """A place on the console: wait_line() looks from there on."""
        return len(self.lines)

    def wait_line(self, pattern, seconds, since=0):
        """Wait for a line of the console; gives (seconds since power on, match)."""
        deadline = time.monotonic() + seconds
        with self.news:
            while True:
                for at, text in self.lines[since:]:
                    found = re.search(pattern, text)
                    if found:
                        return at, found
                since = len(self.lines)
                left = deadline - time.monotonic()
                if left <= 0 or not self.alive():
                    raise Failed(f'{"the machine ended" if left > 0 else "waited in vain"}: no '
                                 f'{pattern!r} on the console in {seconds:.0f} s; see '
                                 f'{self.console}\n{self.tail()}')
                self.news.wait(min(left, 1.0))

    def count(self, pattern):
        """How many lines since power on match."""
        return sum(1 for _, text in self.lines if re.search(pattern, text))

    def ask(self, command, seconds=60):
        """Type a command; gives what it said. A shell has to listen on the console."""
        self.questions += 1
        mark, since = f'answer-{self.questions}', self.mark()
        self.child.stdin.write(f'{{ {command}; }} 2>&1 | sed "s/^/{mark} /"; '
                               f'echo {mark}-ends\n'.encode())
        self.child.stdin.flush()
        self.wait_line(f'{mark}-ends', seconds, since)
        return '\n'.join(text.partition(f'{mark} ')[2] for _, text in self.lines[since:]
                         if f'{mark} ' in text)

    def tail(self, lines=15):
        return '\n'.join(f'{at:8.2f} {text}' for at, text in self.lines[-lines:])

    def cut(self):
        """Pull the plug."""
        if self.child is None:
            return None
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        self.child.stdin.close()
        self.reader.join(10)
        self.child = None
        self._note('power cut')
        return self.disk.cut()
