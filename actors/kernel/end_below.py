"""Ending a process that was killed and does not die: it waits in the kernel, it may be for a lock of a pipe that its own program holds."""

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Callable

from .linux import children_of, parent_of

_DIES_WITHIN = 2.0
"""Seconds after its SIGKILL within which a process dies, unless it waits in the kernel."""
_GENERATION = 0.01
"""Seconds until what a killed process leaves behind has become a child of the one that does not die."""
_AGAIN = 0.2


class EndBelow:
    """From 2 s on after a process was killed, SIGKILL what is below it, generation by generation, until this is cancelled.

    The process is a child of ours, or we hold it otherwise; `pidfd` is of it. `first` is called before each of these kills.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pid: int, pidfd: int, first: Callable[[], None] = lambda: None) -> None:
        self._loop = loop
        self._pid = pid
        self._pidfd = pidfd
        self._first = first
        self._killed: set[int] = set()
        self._timer = loop.call_later(_DIES_WITHIN, self._end)

    def cancel(self) -> None:
        """The process has ended, and its descriptor will be closed."""
        self._timer.cancel()

    def _end(self) -> None:
        self._first()
        # Those that do not die, either, are met each time.
        found, known = set[int](), self._killed
        # Descriptors may be short now: then at the next look.
        with contextlib.suppress(OSError):
            found = kill_children_of(self._pid, self._pidfd)
        self._killed = found
        self._timer = self._loop.call_later(_GENERATION if found - known else _AGAIN, self._end)


def kill_children_of(parent: int, held: int) -> set[int]:
    """SIGKILL the children of a process behind a descriptor, which is ours; return those that lived.

    What a child leaves behind becomes a child of the next subreaper above it.
    """
    lived = set()
    for pid in children_of(parent):
        with contextlib.suppress(OSError):
            child = os.pidfd_open(pid)
            try:
                # Looked at when it is held: it may have ended since it was listed, and its pid be another's; and so may the parent.
                if parent_of(pid) == parent and not _has_ended(held):
                    if not _has_ended(child):
                        lived.add(pid)
                    signal.pidfd_send_signal(child, signal.SIGKILL)
            finally:
                os.close(child)
    return lived


def _has_ended(pidfd: int) -> bool:
    ends = select.poll()
    ends.register(pidfd, select.POLLIN)
    return bool(ends.poll(0))
