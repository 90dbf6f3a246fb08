#!/usr/bin/env python3
"""Power cuts in updates under U-Boot: two by day, fifty by night (cuts.py)."""
import unittest

from cuts import NIGHT, PowerCuts
from scenarios import Scenarios


class Cuts(PowerCuts, Scenarios):
    cuts = 50 if NIGHT else 2


if __name__ == '__main__':
    unittest.main()
