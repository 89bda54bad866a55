"""Reaps what a program leaves behind while it runs, and what ends by itself: a process that forks twice may do so without end."""

import asyncio
import signal
import time
from collections.abc import Callable

_REST = 0.01
_AGAIN = 0.2
_RESTS_FOR = 4
"""So many times as long as it has taken it rests: it takes a fifth of our time at most, however many children end, or live."""


class OrphanReaper:
    """Calls `reap` in the loop when a child has ended; in a flood of such signals once for many of them, with rests in between."""

    def __init__(self, loop: asyncio.AbstractEventLoop, reap: Callable[[], None]) -> None:
        self._loop = loop
        self._reap = reap
        self._ended = self._is_busy = False
        self._rest: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Listen to SIGCHLD, and look for what has ended before."""
        # Not the loop's own handler: with one, the loop is woken by every signal, our pings' timer too.
        signal.signal(signal.SIGCHLD, lambda _number, _frame: self._one_ended())
        self._one_ended()

    def end(self) -> None:
        """Leave SIGCHLD alone."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if self._rest is not None:
            self._rest.cancel()

    def _one_ended(self) -> None:
        self._ended = True
        if not self._is_busy:
            self._is_busy = True
            self._loop.call_soon_threadsafe(self._turn)

    def _turn(self) -> None:
        self._ended = False
        began = time.monotonic()
        rest = _REST
        try:
            self._reap()
        except OSError:
            # Descriptors may be short, without which nothing can be looked at.
            self._ended, rest = True, _AGAIN
        self._rest = self._loop.call_later(max(rest, _RESTS_FOR * (time.monotonic() - began)), self._rested)

    def _rested(self) -> None:
        self._is_busy = False
        # A signal that comes from here on calls for a turn itself.
        if self._ended:
            self._one_ended()
