"""Forks a tree of processes three deep, each in a session of its own, and exits immediately."""

import os
import sys

import ledger


def grow(depth):
    for _ in range(2):
        if ledger.fork() == 0:
            os.setsid()
            if depth > 1:
                grow(depth - 1)
            ledger.go_on()


grow(3)
sys.exit(3)
