"""What a supervisor tells others only when the registry knows all that the supervisor has reported.

So an answer to a client, which may come by way of another supervisor, never overtakes the events that it is about.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from suptree.actors.base.messages import Flush

# The registry may be dead, or hang: nothing is to hang with it.
_FLUSH_WAIT = 2.0


class Flushing:
    """Asks the registry through `send`, which says whether there is a registry; what is to follow does after two seconds at most."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[[Any], bool]) -> None:
        self._loop = loop
        self._send = send
        self._number = 0
        self._waiting: dict[int, tuple[Callable[[], None], asyncio.TimerHandle]] = {}

    def then(self, call: Callable[[], None]) -> None:
        """Call something when everything that was reported has arrived."""
        self._number += 1
        if self._send(Flush(self._number)):
            self._waiting[self._number] = (call, self._loop.call_later(_FLUSH_WAIT, partial(self.flushed, self._number)))
        else:
            call()

    def flushed(self, number: int) -> None:
        """The registry has answered, or did not in time."""
        if waiting := self._waiting.pop(number, None):
            call, timer = waiting
            timer.cancel()
            call()

    def ask_again(self) -> None:
        """There is a new registry, and the one before may have died without an answer."""
        for number in self._waiting:
            self._send(Flush(number))
