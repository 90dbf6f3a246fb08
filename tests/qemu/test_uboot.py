#!/usr/bin/env python3
"""A gateway with each boot loader boots, reaches the broker of this machine, and reports."""
import unittest

from gateway import Gateway


class UBoot(Gateway):
    def test_a_gateway_boots_and_reports(self):
        self.power_on()


class Grub(UBoot):
    loader = 'grub'


class SystemdBoot(UBoot):
    loader = 'systemd-boot'


if __name__ == '__main__':
    unittest.main()
