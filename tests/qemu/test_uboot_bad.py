#!/usr/bin/env python3
"""Bad releases under U-Boot: each is tried, given up, and reported, with nobody's help."""
import unittest

from scenarios import TRIES, Scenarios


class UBootBad(Scenarios):
    def setUp(self):
        super().setUp()
        self.power_on()

    def test_one_that_panics_is_tried_three_times(self):
        self.bad_update('panics', 'FELLBACK', 'boot loader went back')
        self.assertEqual(self.machine.count('guest: panics on purpose'), TRIES)
        self.assertEqual(self.machine.count('Kernel panic'), TRIES)

    def test_one_that_hangs_is_ended_by_the_watchdog(self):
        self.bad_update('hangs', 'FELLBACK', 'boot loader went back')
        self.assertEqual(self.machine.count('guest: hangs on purpose'), TRIES)

    def test_one_without_a_kernel_is_passed_over_in_the_same_boot(self):
        self.bad_update('without a kernel', 'FELLBACK', 'boot loader went back')
        self.assertEqual(self.machine.count(self.boot.tried), 1)
        self.assertEqual(self.machine.count('slot b cannot be booted'), 1)

    def test_one_without_a_network_gives_up_at_its_deadline(self):
        self.bad_update('without a network', 'HEALTH',
                        'no word from the orchestrator within its time')
        self.assertEqual(self.machine.count(self.boot.tried), 1)

    def test_one_whose_hook_says_no_goes_back_at_once(self):
        self.bad_update('sick', 'HEALTH', 'health')
        self.assertEqual(self.machine.count(self.boot.tried), 1)

    def test_after_a_bad_release_a_good_one_is_taken(self):
        self.bad_update('sick', 'HEALTH')
        self.good_update()


if __name__ == '__main__':
    unittest.main()
