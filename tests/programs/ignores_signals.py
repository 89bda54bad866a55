"""Ignores every signal that it can."""

import signal

import ledger

for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
print("you cannot stop me", flush=True)
ledger.go_on()
