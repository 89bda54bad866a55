"""The deadlines of one incarnation, and what puts them off: the time that its program asks for by `EXTEND_TIMEOUT_USEC=`."""

import asyncio
import math
from collections.abc import Callable


class Deadline:
    """Calls `missed` once, when its time is over, unless it is cancelled before that; it can be put off for `at_most` seconds in all."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, missed: Callable[[], None], at_most: float = math.inf) -> None:
        self._loop = loop
        self._missed: Callable[[], None] | None = missed
        self._due = loop.time() + seconds
        self._latest = self._due + at_most
        self._timer: asyncio.TimerHandle | None = loop.call_at(self._due, self._is_over)

    @property
    def is_open(self) -> bool:
        """Whether it is still to come."""
        return self._timer is not None

    def extend(self, until: float) -> None:
        """Put it off until then, in the loop's seconds, where that is later than it was set for. A later call replaces an earlier one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop.call_at(min(max(self._due, until), self._latest), self._is_over)

    def cancel(self) -> None:
        """It is kept, or no longer of interest."""
        if self._timer is not None:
            self._timer.cancel()
        self._close()

    def _is_over(self) -> None:
        missed = self._close()
        if missed is not None:
            missed()

    def _close(self) -> Callable[[], None] | None:
        # What it would have called holds the child, which holds this deadline: such a circle, and the descriptors of the child's process
        # with it, would stay until the garbage collector runs.
        missed, self._missed, self._timer = self._missed, None, None
        return missed


class Deadlines:
    """Those of one incarnation. More time puts off all of them, those that are set later included: each for `at_most` seconds in all.

    Without that bound, an incarnation could lift each of its limits by asking for thousands of years.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, at_most: float = math.inf) -> None:
        self._loop = loop
        self._at_most = at_most
        self._extended_until = 0.0
        self._open: list[Deadline] = []

    def set(self, seconds: float, missed: Callable[[], None]) -> Deadline:
        """Call `missed` after so many seconds, or later, where the incarnation has asked for more time."""
        deadline = Deadline(self._loop, seconds, missed, self._at_most)
        deadline.extend(self._extended_until)
        self._open = [*(other for other in self._open if other.is_open), deadline]
        return deadline

    def extend(self, seconds: float) -> None:
        """The incarnation asks for so many seconds from now on: no deadline ends before that."""
        self._extended_until = self._loop.time() + seconds
        for deadline in self._open:
            deadline.extend(self._extended_until)
