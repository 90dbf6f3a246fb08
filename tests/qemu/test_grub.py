#!/usr/bin/env python3
"""The same under GRUB on EFI firmware: a good release, bad ones, and power cuts."""
import unittest

from cuts import PowerCuts
from scenarios import GoodRelease, Scenarios, SickReleases


class Grub(GoodRelease, SickReleases, Scenarios):
    loader = 'grub'


class GrubCuts(PowerCuts, Scenarios):
    loader = 'grub'


if __name__ == '__main__':
    unittest.main()
