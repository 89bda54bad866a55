"""Takes the kernel's lock of the pipe that is its stdout, and never gives it back: its reader waits in the kernel, SIGKILL or not."""

import os
import socket
import sys
import threading
import time

STDOUT = sys.stdout.fileno()
empty, other_end = socket.socketpair()


def hold() -> None:
    while True:
        # The reader wakes, and finds the pipe locked: splice(2) waits with the lock, for what nobody sends.
        os.write(STDOUT, b"x\n")
        os.splice(empty.fileno(), STDOUT, 4096)


def reader_waits() -> bool:
    with open(f"/proc/{os.getppid()}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "D"


time.sleep(1)
threading.Thread(target=hold, daemon=True).start()
while True:
    time.sleep(0.1)
    if not reader_waits():
        time.sleep(0.2)
        if not reader_waits():
            # It came too early: again.
            other_end.send(b"y\n")
