"""Changes its title, clears its environment, and does so once more in a session of its own."""

import ctypes
import os
import sys

import ledger

if ledger.MORE:
    ctypes.CDLL(None).prctl(15, b"kworker/0:0", 0, 0, 0)
    ledger.go_on()
if ledger.fork() == 0:
    os.setsid()
    if ledger.fork() != 0:
        os._exit(0)
os.closerange(3, 20)
os.execve(sys.executable, ["sshd: nobody", "-SE", __file__, ledger.FOLDER, ledger.AGENT + ".disguised." + str(os.getpid()), "again"], {})
