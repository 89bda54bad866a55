"""How the processes of a tree tell the launcher what their transports refused: some times a minute, over a socket that they inherit."""

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
        self._unreported: Counter[str] = Counter()
        self._not_before = 0.0

    @property
    def has_news(self) -> bool:
        """Whether there are any."""
        return bool(self._unreported)

    def count(self, why: str) -> None:
        """Another one."""
        self._unreported[why] += 1

    def tell(self) -> float | None:
        """Tell the launcher, unless that was done a moment ago; return in how many seconds to try again, None when nothing is left."""
        if not self._unreported:
            return None
        now = time.monotonic()
        if now >= self._not_before:
            self._not_before = now + _TELL_EVERY
            # A launcher that is busy hears it the next time.
            with contextlib.suppress(OSError):
                self._teller.send(json.dumps({"pid": os.getpid(), **self._unreported}).encode(), socket.MSG_DONTWAIT)
                self._unreported.clear()
                return None
        return self._not_before - now


def telling_pair() -> tuple[socket.socket, socket.socket]:
    """The launcher's end, and the one that every process of the tree inherits; nobody else can write to it."""
    hears, tells = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    hears.setblocking(False)
    return hears, tells


def reports(hears: socket.socket) -> Iterator[tuple[int, dict[str, int]]]:
    """What has been reported: the pid of a process, and how many frames it has refused since its last report, by reason."""
    with contextlib.suppress(BlockingIOError):
        while True:
            said = json.loads(hears.recv(_DATAGRAM_LIMIT))
            yield said.pop("pid"), said
