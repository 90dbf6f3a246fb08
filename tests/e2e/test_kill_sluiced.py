#!/usr/bin/env python3
"""kill -9 of sluiced, in every phase of an update."""
import unittest

from kill import kills_of, SERVER_PHASES

Kill = kills_of('sluiced', SERVER_PHASES)

if __name__ == '__main__':
    unittest.main()
