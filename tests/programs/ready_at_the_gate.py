"""Says READY=1 when there is a file of the name that is its argument, then sleeps."""

import os
import pathlib
import socket
import sys
import time

while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.05)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(1000000)
