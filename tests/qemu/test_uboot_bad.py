#!/usr/bin/env python3
"""Bad releases under U-Boot: each is tried, given up, and reported, with nobody's help."""
import unittest

from scenarios import Scenarios, SickReleases


class UBootBad(SickReleases, Scenarios):
    def test_one_without_a_kernel_is_passed_over_in_the_same_boot(self):
        self.bad_update('without a kernel', 'FELLBACK', 'boot loader went back')
        self.assertEqual(self.machine.count(self.boot.tried), 1)
        self.assertEqual(self.machine.count('slot b cannot be booted'), 1)


if __name__ == '__main__':
    unittest.main()
