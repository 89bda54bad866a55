"""Exits before it says anything, without Python's own ending."""

import os

import ledger

os._exit(ledger.FOLDER == "")
