"""What every hostile program shares: each of its processes signs a ledger, and the whole of it holds one lock for as long as it lives.

Run as `PROGRAM FOLDER AGENT [more]`. The ledger has a line for each process, `AGENT PID START_TIME`; in `overlaps` stands an agent
whose earlier incarnation still held the lock (an flock, which every descendant inherits) when this one began.
"""

import fcntl
import os
import sys
import time

FOLDER, AGENT, *MORE = sys.argv[1:]


def _append(name, line):
    with open(f"{FOLDER}/{name}", "a") as file:
        file.write(line + "\n")


def sign():
    """Write this process into the ledger."""
    with open("/proc/self/stat", "rb") as stat:
        _append("ledger", f"{AGENT} {os.getpid()} {stat.read().rpartition(b')')[2].split()[19].decode()}")


def begin():
    """Sign, and take the lock of the agent."""
    sign()
    lock = os.open(f"{FOLDER}/{AGENT}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    os.set_inheritable(lock, True)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _append("overlaps", f"{AGENT} {os.getpid()}")


def fork():
    """Fork; the child signs."""
    pid = os.fork()
    if pid == 0:
        sign()
    return pid


def go_on():
    """Live until somebody ends it."""
    while True:
        time.sleep(1000)


begin()
