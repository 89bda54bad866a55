"""Runs a program, and writes how it ended and which of its processes were left: in the end they all come to this one, a subreaper."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from suptree.actors.kernel.linux import become_subreaper

WITHIN = 15.0
"""How many seconds the processes of a program that has ended have to end too."""


def poll_left() -> list[str]:
    """Reap what has ended, every 10 ms, until no child is left (then an empty list) or until the deadline (then what is left)."""
    deadline = time.monotonic() + WITHIN
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return []
        if time.monotonic() > deadline:
            left = psutil.Process().children(recursive=True)
            words = [" ".join(process.cmdline()) for process in left]
            for process in left:
                process.kill()
            return words
        time.sleep(0.01)


def main(report: str, *argv: str) -> None:
    """Run `argv` in a process group of its own, and write the report."""
    become_subreaper()
    status = subprocess.Popen(argv, process_group=0).wait()
    Path(report).write_text(json.dumps([status, poll_left()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
