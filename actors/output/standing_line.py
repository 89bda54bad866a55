"""Showing within a second the output that has no newline yet: a prompt, or a progress bar."""

import asyncio
import contextlib
import threading

from .line_splitter import LineSplitter

_AFTER = 0.4
# A line that is written over again and again is shown no more often than needed.
_AGAIN_AFTER = 0.9


class StandingLine:
    """Looks after one splitter: what has stood there for a while is shown. It waits for nothing while nothing comes."""

    def __init__(self, splitter: LineSplitter, loop: asyncio.AbstractEventLoop) -> None:
        self._splitter = splitter
        self._loop = loop
        self._thread = threading.get_ident()
        self._timer: asyncio.TimerHandle | None = None
        self._seen: tuple[int, int] | None = None

    def watch(self) -> None:
        """Something came."""
        if self._timer is not None or (stands := self._splitter.stands) is None:
            return
        if threading.get_ident() != self._thread:
            # A native agent prints from any thread, also when the loop has ended.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.watch)
        else:
            self._seen = stands
            self._timer = self._loop.call_later(_AGAIN_AFTER if self._splitter.was_shown else _AFTER, self._look)

    def close(self) -> None:
        """Nothing is shown any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._splitter.stands == self._seen:
            self._splitter.show()
        else:
            # Lines go by: this one has begun since, or is very long and goes on.
            self.watch()
