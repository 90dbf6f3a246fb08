#!/usr/bin/env python3
"""kill -9 of an agent's install process, in every phase of an update."""
import unittest

from kill import kills_of

Kill = kills_of('install')

if __name__ == '__main__':
    unittest.main()
