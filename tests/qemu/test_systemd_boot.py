#!/usr/bin/env python3
"""The same under systemd-boot, whose kernel lies beside the slots: a good release, bad ones, and
power cuts."""
import unittest

from cuts import PowerCuts
from scenarios import GoodRelease, Scenarios, SickReleases


class SystemdBoot(GoodRelease, SickReleases, Scenarios):
    loader = 'systemd-boot'


class SystemdBootCuts(PowerCuts, Scenarios):
    loader = 'systemd-boot'


if __name__ == '__main__':
    unittest.main()
