"""Where connections wait in which the other end has proved nothing yet: few, for a short time, and at no cost to those who are heard."""

import select
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from ..refusals import Why
from .sealed_socket import SealedSocket

MOST_UNPROVED = 256
"""When one more comes, the connection that has waited longest is closed."""
PROVED_WITHIN = 5.0
"""Seconds after which a connection is closed in which nothing was proved."""

_LEAST_DELAY = 0.001


class WaitingRoom:
    """To Thespian this is one incoming connection, readable when there is something to do in here, however many wait.

    `refuse` is called with each reason why one was sent away.
    """

    def __init__(self, address: Any, refuse: Callable[[Why], None]) -> None:
        self.fromAddress = address
        self._refuse = refuse
        self._epoll = select.epoll()
        self._waiting: dict[int, tuple[SealedSocket, float]] = {}
        """By descriptor, in the order in which they came."""

    @property
    def socket(self) -> select.epoll:
        """What has the descriptor to wait for."""
        return self._epoll

    @property
    def descriptors(self) -> list[int]:
        """Of the connections that wait."""
        return list(self._waiting)

    def enter(self, connection: SealedSocket) -> bool:
        """Whether the other end has proved itself already; otherwise it waits, and without room the one that has waited longest goes."""
        # One of ours has said its first words by now, and is answered immediately.
        if connection.pump() or connection.is_open:
            return self._may_pass(connection)
        if len(self._waiting) >= MOST_UNPROVED:
            self._send_away(next(iter(self._waiting)), Why.CROWDED)
        try:
            self._epoll.register(connection.fileno(), select.EPOLLIN)
        except OSError:
            # The kernel has no room for another one.
            connection.close()
            self._refuse(Why.CROWDED)
        else:
            self._waiting[connection.fileno()] = (connection, time.monotonic() + PROVED_WITHIN)
        return False

    def leave(self) -> Iterator[SealedSocket]:
        """Those that have proved themselves; others that have said something wrong, or hung up, are closed."""
        for descriptor, _events in self._epoll.poll(0):
            connection, _deadline = self._waiting[descriptor]
            if (connection.pump() or connection.is_open) and self._may_pass(self._forget(descriptor)):
                yield connection

    def _may_pass(self, connection: SealedSocket) -> bool:
        if not connection.is_open:
            connection.close()
            if connection.refused is not None:
                self._refuse(connection.refused)
        return connection.is_open

    def send_the_slow_away(self) -> bool:
        """Close those that have had their time; whether anybody still waits."""
        now = time.monotonic()
        while self._waiting:
            descriptor, (_connection, deadline) = next(iter(self._waiting.items()))
            if deadline > now:
                return True
            self._send_away(descriptor, Why.TOO_SLOW)
        return False

    def delay(self, _now: Any = None) -> timedelta | None:
        """How long Thespian may wait for something else."""
        for _connection, deadline in self._waiting.values():
            return timedelta(seconds=max(_LEAST_DELAY, deadline - time.monotonic()))
        return None

    def backoffPause(self) -> timedelta:  # noqa: N802
        """Thespian asks whether not to look."""
        return timedelta(0)

    def close(self) -> None:
        """Everybody goes."""
        for descriptor in self.descriptors:
            self._forget(descriptor).close()
        self._epoll.close()

    def _send_away(self, descriptor: int, why: Why) -> None:
        self._forget(descriptor).close()
        self._refuse(why)

    def _forget(self, descriptor: int) -> SealedSocket:
        # A child that was just forked may have it open still, and then the kernel would not forget it by itself.
        self._epoll.unregister(descriptor)
        return self._waiting.pop(descriptor)[0]
