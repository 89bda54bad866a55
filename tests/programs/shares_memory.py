"""Takes 60 MB of memory, forks five times, and says so: each process of it has the same 60 MB."""

import os
import time

shared = bytearray(b"x") * 60_000_000
for _ in range(5):
    if os.fork() == 0:
        time.sleep(1000)
print("forked", flush=True)
time.sleep(1000)
