#!/usr/bin/env python3
"""A gateway with U-Boot takes a release over MQTT as a delta, writes it to its other slot, boots
it, proves it and reports."""
import unittest

from scenarios import Scenarios


class UBoot(Scenarios):
    def test_a_good_release_is_confirmed_in_slot_b(self):
        self.power_on()
        release = self.good_update()
        self.stays(release, 'b')


if __name__ == '__main__':
    unittest.main()
