#!/usr/bin/env python3
"""kill -9 of an agent's net process, in every phase of an update."""
import unittest

from kill import kills_of

Kill = kills_of('net')

if __name__ == '__main__':
    unittest.main()
