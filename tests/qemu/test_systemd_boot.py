#!/usr/bin/env python3
"""The same under systemd-boot, whose kernel lies beside the slots: a good release, and bad ones."""
import unittest

from scenarios import GoodRelease, Scenarios, SickReleases


class SystemdBoot(GoodRelease, SickReleases, Scenarios):
    loader = 'systemd-boot'


if __name__ == '__main__':
    unittest.main()
