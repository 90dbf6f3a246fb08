#!/usr/bin/env python3
"""The same under GRUB on EFI firmware: a good release, and bad ones."""
import unittest

from scenarios import TRIES, Scenarios


class Grub(Scenarios):
    loader = 'grub'

    def setUp(self):
        super().setUp()
        self.power_on()

    def test_a_good_release_is_confirmed_in_slot_b(self):
        self.stays(self.good_update(), 'b')

    def test_one_that_panics_is_tried_three_times(self):
        self.bad_update('panics', 'FELLBACK', 'boot loader went back')
        self.assertEqual(self.machine.count('Kernel panic'), TRIES)

    def test_one_whose_hook_says_no_goes_back_at_once(self):
        self.bad_update('sick', 'HEALTH', 'health')


if __name__ == '__main__':
    unittest.main()
