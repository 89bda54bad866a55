"""Ends, and leaves a grandchild that holds its output open."""

import os
import sys

import ledger

if ledger.fork() == 0:
    if ledger.fork() == 0:
        ledger.go_on()
    os._exit(0)
os.wait()
print("bye", flush=True)
sys.exit(1)
