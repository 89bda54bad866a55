"""Hides a daemon in a session of its own, twice removed."""

import os

import ledger

if ledger.fork() == 0:
    os.setsid()
    if ledger.fork() == 0:
        ledger.go_on()
    os._exit(0)
ledger.go_on()
