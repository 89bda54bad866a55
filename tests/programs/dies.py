"""Dies by the signal given."""

import os
import resource
import signal

import ledger

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
number = int(ledger.MORE[0])
if number != signal.SIGKILL:
    signal.signal(number, signal.SIG_DFL)
os.kill(os.getpid(), number)
ledger.go_on()
