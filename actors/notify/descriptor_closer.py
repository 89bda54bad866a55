"""Closing descriptors that a stranger chose, where it harms nobody when the kernel waits in the close."""

import contextlib
import os
import threading
from collections.abc import Iterable
from queue import SimpleQueue

MOST_WAITING = 256
"""More descriptors than this wait only where one close does not return."""


class DescriptorCloser:
    """Closes descriptors in a thread of its own, which begins with the first one.

    A close may wait for as long as the sender of the descriptor likes: for a socket with `SO_LINGER`, or for a file of a file system which
    the sender serves. The thread then waits, and the caller does not.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[int] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._given = self._closed = 0

    @property
    def is_stuck(self) -> bool:
        """Whether so many descriptors wait that the thread cannot have come on."""
        return self._given - self._closed > MOST_WAITING

    def close(self, descriptors: Iterable[int]) -> None:
        """Have them closed, in this order."""
        for descriptor in descriptors:
            self._given += 1
            self._queue.put(descriptor)
        if self._thread is None:
            # As a daemon: the process may end while a close waits.
            self._thread = threading.Thread(target=self._close_all, name="closes descriptors", daemon=True)
            self._thread.start()

    def _close_all(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                os.close(self._queue.get())
            self._closed += 1
