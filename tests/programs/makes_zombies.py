"""Never waits for its children, and lets grandchildren die as orphans."""

import os
import time

import ledger

for _ in range(20):
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.05)
        os._exit(0)
ledger.go_on()
