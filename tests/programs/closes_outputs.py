"""Closes its outputs, and goes on."""

import os

import ledger

for descriptor in (0, 1, 2):
    os.close(descriptor)
ledger.go_on()
