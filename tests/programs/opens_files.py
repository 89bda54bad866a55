"""Opens as many files and sockets as it may."""

import resource
import socket

import ledger

_soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 5000), hard))
opened = []
try:
    while True:
        opened += [open("/dev/null"), *socket.socketpair()]
except OSError:
    ledger.go_on()
