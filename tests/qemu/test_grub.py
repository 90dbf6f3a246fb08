#!/usr/bin/env python3
"""The same under GRUB on EFI firmware: a good release, and bad ones."""
import unittest

from scenarios import GoodRelease, Scenarios, SickReleases


class Grub(GoodRelease, SickReleases, Scenarios):
    loader = 'grub'


if __name__ == '__main__':
    unittest.main()
