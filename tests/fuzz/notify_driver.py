"""The notify socket, fed by an agent: datagrams with descriptors that come along, statuses without end, extensions of any length."""

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from suptree.actors.base.deadlines import Deadlines
from suptree.actors.heartbeat.allowance import AT_FIRST, EVERY, Allowance
from suptree.actors.notify.notification import DATAGRAM_LIMIT, parse
from suptree.actors.notify.notify_socket import NotifySocket

_MOST_DESCRIPTORS = 253
_CLOSED_WITHIN = 5.0
_AT_MOST = 300.0
_NEWS = 3


class DescriptorDriver:
    """A real socket. The first byte says how many descriptors come along, and of which kind; the rest is the datagram."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="suptree-fuzz-")
        path = Path(self._folder.name) / "notify.sock"
        self._receiver = NotifySocket.at(path)
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.connect(str(path))
        self._lent = [os.open(os.devnull, os.O_RDONLY), *os.pipe(), self._sender.fileno()]
        self.feed(b"\x01")  # from the first descriptor on there is a thread
        self._open = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  (numbers)

    def feed(self, data: bytes) -> None:
        """Send one datagram, and receive it; polls until nothing that came along is open any more."""
        if not data:
            return
        count = data[0] % (_MOST_DESCRIPTORS + 1)
        sent = data[1 : DATAGRAM_LIMIT + 1]
        socket.send_fds(self._sender, [sent], [self._lent[(data[0] + each) % len(self._lent)] for each in range(count)])
        pid, said = self._receiver.receive()
        assert (os.getpid(), parse(sent)) == (pid, said)
        deadline = time.monotonic() + _CLOSED_WITHIN
        while hasattr(self, "_open") and len(os.listdir("/proc/self/fd")) > self._open:  # noqa: PTH208
            assert time.monotonic() < deadline, "descriptors that came along stay open"
            time.sleep(0.0001)


class _Clock:
    """The part of an event loop that deadlines need, on a clock that the input turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self.latest = 0.0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, _call: Callable[[], None]) -> Any:
        self.latest = when
        return self

    def cancel(self) -> None:
        pass


def says_much(data: bytes) -> None:
    """Datagrams apart by 0xff, each after a pause that its first byte gives: what is passed on is bounded, and so is every deadline."""
    clock = _Clock()
    deadlines = Deadlines(cast(asyncio.AbstractEventLoop, clock), _AT_MOST)
    deadlines.set(1.0, lambda: None)
    allowance, passed, last = Allowance(0.0), 0, None
    for each in data.split(b"\xff"):
        clock.now += each[0] / 100 if each else 0.0
        if (said := parse(each[1:])) is None:
            continue
        last = last if said.status is None else said.status
        for found in (allowance.due(clock.now), allowance.hear(said, clock.now)):
            passed += found is not None
        if said.extend is not None:
            deadlines.extend(said.extend)
    rest = allowance.rest()
    assert passed <= AT_FIRST + clock.now / EVERY + _NEWS
    assert clock.latest <= 1.0 + _AT_MOST
    assert rest is None or (rest.said is not None and rest.said.status in (None, last))
