"""Stops itself with SIGSTOP, and so does its child."""

import os
import signal

import ledger

ledger.fork()
os.kill(os.getpid(), signal.SIGSTOP)
ledger.go_on()
