"""Says each of its arguments on the notify socket; `sleep:SECONDS` and `exit:STATUS` do that; ends on none, never."""

import os
import signal
import socket
import sys
import time

notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for word in sys.argv[1:]:
    if word.startswith("sleep:"):
        time.sleep(float(word[6:]))
    elif word.startswith("exit:"):
        sys.exit(int(word[5:]))
    elif word.startswith("on-term:"):
        # At SIGTERM: ask for so much more time, use it, and end well.
        def on_term(_number, _frame, seconds=float(word[8:])):
            notify.sendto(b"EXTEND_TIMEOUT_USEC=%d" % ((seconds + 1) * 1_000_000), os.environ["NOTIFY_SOCKET"])
            time.sleep(seconds)
            print("ended well", flush=True)
            sys.exit(0)

        signal.signal(signal.SIGTERM, on_term)
    else:
        notify.sendto(word.encode(), os.environ["NOTIFY_SOCKET"])
while True:
    time.sleep(1000)
