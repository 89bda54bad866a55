"""Closing descriptors that a stranger chose, where it harms nobody when the kernel waits in the close."""

import contextlib
import os
import threading
from collections.abc import Iterable
from queue import SimpleQueue

MOST_WAITING = 256
"""While so many descriptors wait, no more are to be taken."""
STUCK_AFTER = 50
"""So many looks in a row at which the thread has closed none."""


class DescriptorCloser:
    """Closes descriptors in a thread of its own, which begins with the first one.

    A close may wait for as long as the sender of the descriptor likes: for a socket with `SO_LINGER`, or for a file of a file system which
    the sender serves. The thread then waits, and the caller does not.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[int] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._given = self._closed = 0
        self._looks = self._closed_before = 0

    @property
    def is_full(self) -> bool:
        """Whether so many wait that no more are to come before some are closed. How many says nothing of how long a close takes."""
        return self._given - self._closed >= MOST_WAITING

    def is_stuck(self) -> bool:
        """Whether one close does not return. To be asked at intervals while it is full; nothing is closed meanwhile where that is so.

        The looks are counted, and not the time: where this whole process stands still, so does the thread.
        """
        self._begin()
        comes_on = self._closed != self._closed_before or self._thread is None or not self.is_full
        self._closed_before = self._closed
        self._looks = 0 if comes_on else self._looks + 1
        return self._looks >= STUCK_AFTER

    def close(self, descriptors: Iterable[int]) -> None:
        """Have them closed, in this order."""
        for descriptor in descriptors:
            self._given += 1
            self._queue.put(descriptor)
        self._begin()

    def _begin(self) -> None:
        if self._thread is None:
            # As a daemon: the process may end while a close waits.
            thread = threading.Thread(target=self._close_all, name="closes descriptors", daemon=True)
            # There may be no room for a thread now.
            with contextlib.suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def _close_all(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                os.close(self._queue.get())
            self._closed += 1
