"""An asyncio loop that an actor steps: it never waits by itself, and shows one descriptor to wait on instead."""

import asyncio
import os
import select
import selectors
import sys
import time

from ..kernel.linux import create_timer, set_timer
from .patient_reaping import reap_patiently

# How many seconds one step may take before the actor looks at its messages again: a flood of events must not starve them.
_STEP_LIMIT = 0.005
_IN_A_COPY = 1
"""The exit status of a copy of this process that would go on with its loop."""


class _NeverWaitingSelector(selectors.EpollSelector):
    """Where the loop would wait, it stops the loop and keeps how long it may sleep."""

    loop: asyncio.AbstractEventLoop
    sleep_for: float | None = None
    deadline: float = 0.0

    def __init__(self) -> None:
        super().__init__()
        self._timer = create_timer()
        self._pid = os.getpid()
        # In the kernel's set alone: the loop, which has its own timers, knows nothing of it.
        self._selector.register(self._timer, select.EPOLLIN)  # type: ignore[attr-defined]  # not in its type

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if os.getpid() != self._pid:
            # A copy of this process, which code that runs here has forked: what is below belongs to the original.
            os._exit(_IN_A_COPY)
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            self.sleep_for = timeout
            self.loop.stop()
        elif time.monotonic() >= self.deadline:
            # Not idle: come back immediately, after the actor's messages had their turn.
            self.sleep_for = 0.0
            self.loop.stop()
        return ready

    def set_timer(self) -> None:
        """Be readable again when it has slept for as long as it may."""
        set_timer(self._timer, self.sleep_for)

    def wake(self) -> None:
        """Be readable now."""
        set_timer(self._timer, 0.0)

    def close(self) -> None:
        os.close(self._timer)
        super().close()


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop for code that cannot give up its thread.

    `step()` runs whatever can run now; when there is more to do, `fileno()` is readable.
    """

    def __init__(self) -> None:
        self._never_waiting = _NeverWaitingSelector()
        super().__init__(self._never_waiting)
        self._never_waiting.loop = self
        if sys.version_info < (3, 14):
            reap_patiently()
        asyncio.set_event_loop(self)

    def fileno(self) -> int:
        """The one descriptor that is readable when `step()` has something to do, timers that are due included."""
        return self._never_waiting.fileno()

    def wake(self) -> None:
        """Have `fileno()` readable now, though there may be nothing to do; a signal handler may call this."""
        self._never_waiting.wake()

    def step(self) -> None:
        """Run until idle, or for a few milliseconds. Raises what asyncio lets out of any task: SystemExit, KeyboardInterrupt."""
        self._never_waiting.deadline = time.monotonic() + _STEP_LIMIT
        # Unless it finds itself idle: somebody else may stop it too.
        self._never_waiting.sleep_for = 0.0
        try:
            self.run_forever()
        finally:
            self._never_waiting.set_timer()
