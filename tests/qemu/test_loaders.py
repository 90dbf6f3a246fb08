#!/usr/bin/env python3
"""Boot loaders alone, without an agent: the power is cut in each write that they make while they
count a boot, and the variables are lost altogether."""
import shutil
import threading
import time
import unittest

import disk as disks
import loaders
from gateway import RUNS
from nbd import CachedDisk
from scenarios import SLOTS, tried_line
from system import System
from vm import Machine

KERNEL_S = 120  # from power on to the kernel, on a busy machine


class UBoot(unittest.TestCase):
    loader = 'uboot'

    @classmethod
    def setUpClass(cls):
        cls.boot = loaders.LOADERS[cls.loader]
        cls.dir = RUNS / f'loader-{cls.loader}'
        shutil.rmtree(cls.dir, ignore_errors=True)
        (cls.dir / 'data/sluice').mkdir(parents=True)
        system = System()
        cls.image = system.image('1.0')
        disks.make_data(cls.dir / 'data.img', cls.dir / 'data')
        cls.system = system

    def disk(self, order, states):
        """A disk with the same image in both slots and these variables."""
        folder = self.dir / 'loader'
        shutil.rmtree(folder, ignore_errors=True)
        self.boot.prepare(self.system, folder, order, states)
        disks.make_fat(self.dir / 'loader.img', folder)
        path = self.dir / 'disk.img'
        disks.make_disk(path, self.dir / 'loader.img', self.image, self.dir / 'data.img')
        disks.write_at(path, disks.offset_of('slot-b'), self.image)
        return path

    def boot_once(self, machine):
        """Power on, up to the kernel; gives the slot it came from."""
        machine.power_on()
        _, found = machine.wait_line(r'initrd: root=/dev/(\w+)', KERNEL_S)
        machine.cut()
        return next(s for s, device in SLOTS.items() if device == found[1])

    def cut_in_write(self, number):
        """A boot of slot b, on trial, cut in that write; False if it made fewer."""
        disk = CachedDisk(self.disk('B A', {'a': ('good', 3), 'b': ('trial', 3)}), number)
        machine, gone = Machine(disk, self.dir, self.boot.firmware), threading.Event()
        machine.power_on()
        disk.arm(number, gone.set)
        deadline = time.monotonic() + KERNEL_S
        while not gone.wait(0.02) and not machine.count(tried_line('b')):
            self.assertLess(time.monotonic(), deadline, machine.tail())
        machine.cut()
        if gone.is_set():
            self.assertEqual(self.boot_once(machine), 'b', f'cut in write {number}')
        disk.close()
        return gone.is_set()

    def test_a_cut_in_any_write_of_a_boot_loses_nothing(self):
        number = 1
        while self.cut_in_write(number):
            number += 1
        print(f'  {self.loader}: {number - 1} writes in a boot', flush=True)
        self.assertGreater(number, 1, 'it counted nothing')

    def test_tries_are_used_up_and_the_other_slot_boots(self):
        disk = disks.FileDisk(self.disk('B A', {'a': ('good', 3), 'b': ('trial', 3)}))
        machine = Machine(disk, self.dir, self.boot.firmware)
        self.assertEqual([self.boot_once(machine) for _ in range(4)], ['b', 'b', 'b', 'a'])


class Grub(UBoot):
    loader = 'grub'


class SystemdBoot(UBoot):
    loader = 'systemd-boot'


if __name__ == '__main__':
    unittest.main()
