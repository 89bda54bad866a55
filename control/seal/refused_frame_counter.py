"""How the processes of a tree tell the launcher what their transports refused: at most once a second, over a socket that they inherit."""

import contextlib
import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator

_REPORT_EVERY = 1.0
_DATAGRAM_LIMIT = 4096


class RefusedFrameCounter:
    """Counts what one process refuses, and reports the numbers to the launcher through `report_socket`, one end of `reporting_pair`."""

    def __init__(self, report_socket: socket.socket) -> None:
        self._report_socket = report_socket
        self._unreported: Counter[str] = Counter()
        self._not_before = 0.0

    @property
    def has_unreported(self) -> bool:
        """Whether some are not reported to the launcher yet."""
        return bool(self._unreported)

    def count(self, why: str) -> None:
        """Count another refused frame, by its reason."""
        self._unreported[why] += 1

    def report(self) -> float | None:
        """Report to the launcher, but not twice within a second; return in how many seconds to try again, None when nothing is left."""
        if not self._unreported:
            return None
        now = time.monotonic()
        if now >= self._not_before:
            self._not_before = now + _REPORT_EVERY
            # A launcher that is busy gets the numbers with the next report.
            with contextlib.suppress(OSError):
                self._report_socket.send(json.dumps({"pid": os.getpid(), **self._unreported}).encode(), socket.MSG_DONTWAIT)
                self._unreported.clear()
                return None
        return self._not_before - now


def reporting_pair() -> tuple[socket.socket, socket.socket]:
    """The launcher's end, and the end that every process of the tree inherits; no other process can write to it."""
    receiving, sending = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiving.setblocking(False)
    return receiving, sending


def reports(receiving: socket.socket) -> Iterator[tuple[int, dict[str, int]]]:
    """What has been reported: the pid of a process, and how many frames it has refused since its last report, by reason."""
    with contextlib.suppress(BlockingIOError):
        while True:
            said = json.loads(receiving.recv(_DATAGRAM_LIMIT))
            yield said.pop("pid"), said
