"""Works on a terminal only."""

import sys

import ledger

if not (sys.stdin.isatty() and sys.stdout.isatty()):
    sys.exit("this program needs a terminal")
print("on a terminal", flush=True)
ledger.go_on()
