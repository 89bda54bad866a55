"""Messages between two actors, in the order in which they were sent, each once.

Thespian promises neither: when both ends send at the same moment it closes the connection and sends again later, so that a message may
come twice, or after one that was sent later. So the sender numbers them, and the receiver puts them in order.
"""

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from thespian.actors import ActorAddress

ChannelId = tuple[int, int]

_channels = itertools.count()


@dataclass(frozen=True, slots=True, repr=False)
class Numbered:
    """One message on its way; the first part of a channel's id is the pid of the sender."""

    channel: ChannelId
    number: int
    message: Any

    def __repr__(self) -> str:
        # Thespian writes to its logs what it could not deliver, and messages hold the secrets of agents.
        return f"Numbered({self.channel}, {self.number}, {type(self.message).__name__})"


class Outbox:
    """The sender's end of a channel to one actor."""

    def __init__(
        self,
        send: Callable[[ActorAddress, Any], None],
        address: ActorAddress,
        is_behind: Callable[[ActorAddress], bool] = lambda _address: False,
    ) -> None:
        self.address = address
        self._send = send
        self._is_behind = is_behind
        self._channel = (os.getpid(), next(_channels))
        self._number = 0

    def tell(self, message: Any) -> None:
        """Send a message after all that were sent before."""
        self._number += 1
        self._send(self.address, Numbered(self._channel, self._number, message))

    @property
    def is_behind(self) -> bool:
        """Whether the receiver has not taken for a second what was sent last: what can wait, or be replaced by a newer word, waits then."""
        return self._is_behind(self.address)


class Inbox:
    """The receiver's end of a channel."""

    def __init__(self) -> None:
        self._next = 1
        self._early: dict[int, Any] = {}

    @property
    def waits(self) -> bool:
        """Whether something came that has to wait for what was sent before it."""
        return bool(self._early)

    @property
    def position(self) -> int:
        """The number of the message that is due next."""
        return self._next

    def take(self, numbered: Numbered) -> list[Any]:
        """Take a message in; return those that are due now, in order. One that came before is dropped."""
        if numbered.number >= self._next:
            self._early[numbered.number] = numbered.message
        return self._due()

    def skip(self) -> list[Any]:
        """Give up what is missing; return those that are due then."""
        self._next = min(self._early, default=self._next)
        return self._due()

    def _due(self) -> list[Any]:
        due = []
        while self._next in self._early:
            due.append(self._early.pop(self._next))
            self._next += 1
        return due
