"""A thread has its parent trace it. Then the process `exits`, also `after` that thread, `waits`, or `leaves` another behind."""

import ctypes
import os
import sys
import threading
import time

asked = threading.Event()


def ask():
    assert ctypes.CDLL(None).ptrace(0, 0, None, None) == 0
    asked.set()
    time.sleep(0 if what == "after" else 1000)


def be_traced():
    threading.Thread(target=ask, daemon=True).start()
    asked.wait()


what = sys.argv[1]
if what == "leaves":
    starter = os.getpid()
    if os.fork() == 0:
        while os.getppid() == starter:
            time.sleep(0.01)
        be_traced()
        print("traced", flush=True)
        time.sleep(1000)
    time.sleep(float(sys.argv[2]))
    os._exit(4)
be_traced()
print("traced", flush=True)
if what == "after":
    time.sleep(1)
if what in ("exits", "after"):
    os._exit(int(sys.argv[2]))
time.sleep(1000)
