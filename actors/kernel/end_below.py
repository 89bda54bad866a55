"""Ending a process that was killed and does not die.

It waits in the kernel, it may be for a lock of a pipe that its own program holds; or for this process, which it has made trace it.
"""

import asyncio
import contextlib
from collections.abc import Callable

from .kill_below import kill_below
from .traced_threads import reap_traced_threads

_DIES_WITHIN = 2.0
"""Seconds after its SIGKILL within which a process dies, unless it waits in the kernel."""
_GENERATION = 0.01
"""Seconds until what a killed process leaves behind has become a child of the one that does not die."""
_AGAIN = 0.2


class EndBelow:
    """From 2 s on after a process was killed, SIGKILL what is below it, until this is cancelled.

    The process is a child of ours, or we hold it otherwise; `pidfd` is of it. `first` is called before each look.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pid: int, pidfd: int, first: Callable[[], None] = lambda: None) -> None:
        self._loop = loop
        self._pid = pid
        self._pidfd = pidfd
        self._first = first
        self._killed: set[int] = set()
        self._ends: asyncio.Task[None] | None = None
        self._timer = loop.call_later(_DIES_WITHIN, self._end)

    def cancel(self) -> None:
        """The process has ended, and its descriptor will be closed."""
        self._timer.cancel()
        if self._ends is not None:
            self._ends.cancel()

    def _end(self) -> None:
        self._ends = self._loop.create_task(self._end_all())

    async def _end_all(self) -> None:
        self._first()
        reap_traced_threads(self._pid)
        # Those that do not die, either, are met each time.
        found, known = set[int](), self._killed
        # Descriptors may be short now: then at the next look.
        with contextlib.suppress(OSError):
            found = await kill_below(self._pid, self._pidfd)
        self._killed = found
        self._timer = self._loop.call_later(_GENERATION if found - known else _AGAIN, self._end)
