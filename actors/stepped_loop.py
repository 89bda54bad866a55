"""An asyncio loop that an actor steps: it never waits by itself, and shows one descriptor to wait on instead."""

import asyncio
import selectors
import sys
import time

# How many seconds one step may take before the actor looks at its messages again: a flood of events must not starve them.
_STEP_LIMIT = 0.005


class _NeverWaitingSelector(selectors.EpollSelector):
    """Where the loop would wait, it stops the loop and keeps how long it may sleep."""

    loop: asyncio.AbstractEventLoop
    sleep_for: float | None = None
    deadline: float = 0.0
    interrupted: bool = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            self.sleep_for = timeout
            self.loop.stop()
        elif time.monotonic() >= self.deadline:
            self.interrupted = True
            self.loop.stop()
        return ready


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop for code that cannot give up its thread.

    `step()` runs whatever can run now and returns how many seconds the loop may sleep (None: until `fileno()` is readable).
    """

    def __init__(self) -> None:
        self._never_waiting = _NeverWaitingSelector()
        super().__init__(self._never_waiting)
        self._never_waiting.loop = self
        if sys.version_info < (3, 12):
            # Later versions choose this watcher themselves; the older default starts a thread for each process.
            asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
        asyncio.set_event_loop(self)

    def fileno(self) -> int:
        """The one descriptor that is readable when `step()` has something to do (timers excepted)."""
        return self._never_waiting.fileno()

    def step(self) -> float | None:
        """Run until idle, or for a few milliseconds; return the seconds until the next timer, or None when there is none."""
        self._never_waiting.deadline = time.monotonic() + _STEP_LIMIT
        self._never_waiting.sleep_for = None
        self._never_waiting.interrupted = False
        self.run_forever()
        if self._never_waiting.interrupted:
            # Not idle: come back at once, after the actor's messages had their turn. Not earlier: the loop would read its own wake-up.
            self.call_soon_threadsafe(lambda: None)
        return self._never_waiting.sleep_for
