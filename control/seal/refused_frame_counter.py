"""How the processes of a tree tell the launcher what their transports refused: now and then, over a socket that they inherit."""

import contextlib
import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator

_TELL_EVERY = 1.0
_DATAGRAM_LIMIT = 4096


class RefusedFrames:
    """Those of one process that the launcher has yet to hear of; `teller` is one end of its socket pair."""

    def __init__(self, teller: socket.socket) -> None:
        self._teller = teller
        self._untold: Counter[str] = Counter()
        self._not_before = 0.0

    @property
    def untold(self) -> bool:
        """Whether there are any."""
        return bool(self._untold)

    def count(self, why: str) -> None:
        """Another one."""
        self._untold[why] += 1

    def tell(self) -> float | None:
        """Tell the launcher, unless that was done a moment ago; return in how many seconds to try again, or None when all is told."""
        if not self._untold:
            return None
        now = time.monotonic()
        if now >= self._not_before:
            self._not_before = now + _TELL_EVERY
            # A launcher that is busy hears it the next time.
            with contextlib.suppress(OSError):
                self._teller.send(json.dumps({"pid": os.getpid(), **self._untold}).encode(), socket.MSG_DONTWAIT)
                self._untold.clear()
                return None
        return self._not_before - now


def telling_pair() -> tuple[socket.socket, socket.socket]:
    """The launcher's end, and the one that every process of the tree inherits; nobody else can write to it."""
    hears, tells = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    hears.setblocking(False)
    return hears, tells


def told(hears: socket.socket) -> Iterator[tuple[int, dict[str, int]]]:
    """What has been told: the pid of a process, and how many it has refused since it told the last time, by reason."""
    with contextlib.suppress(BlockingIOError):
        while True:
            said = json.loads(hears.recv(_DATAGRAM_LIMIT))
            yield said.pop("pid"), said
