#!/usr/bin/env python3
"""A gateway with U-Boot takes a release over MQTT as a delta, writes it to its other slot, boots
it, proves it and reports."""
import unittest

from scenarios import GoodRelease, Scenarios


class UBoot(GoodRelease, Scenarios):
    pass


if __name__ == '__main__':
    unittest.main()
