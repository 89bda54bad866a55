"""Takes 512 MB of memory, a little at a time, and writes to all of it."""

import time

import ledger

eaten = []
while len(eaten) < 256:
    eaten.append(bytearray(b"x") * 2_000_000)
    time.sleep(0.005)
ledger.go_on()
