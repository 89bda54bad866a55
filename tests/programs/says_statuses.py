"""Says twenty statuses a second, numbered."""

import os
import socket
import time

with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.connect(os.environ["NOTIFY_SOCKET"])
    number = 0
    while True:
        number += 1
        notify.send(b"STATUS=%d" % number)
        time.sleep(0.05)
