"""Progress, the third sign of life: an agent that is alive and answers may still be stuck."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable

from ..kernel.linux import stat_fields, with_descendants
from ..spec.agent_spec import ProgressSpec

_LOOKS = 5
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# A program that only waits still wakes up sometimes.
_IDLE_SHARE = 0.01
# The kernel counts in ticks: what used almost nothing may have used one, and another at the next look.
_COARSE = 2 / _TICKS_PER_SECOND


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU time that a process, its living descendants, and what they have waited for, have used."""
    return sum(map(_ticks, with_descendants(pid))) / _TICKS_PER_SECOND


def _ticks(pid: int) -> int:
    with contextlib.suppress(OSError):
        return sum(map(int, stat_fields(f"/proc/{pid}")[11:15]))
    return 0


class ProgressWatch:
    """Looks five times in the shorter of both times whether one incarnation has done something since.

    That is: its output grew, it said a `STATUS=`, or it and its descendants used more than 1% of a core. `stalled` is called with the
    seconds without progress when they reach `warn_after`, and with 0 when there is progress again; `stuck` is called with a sentence on
    those seconds when they reach `restart_after`.
    """

    def __init__(self, spec: ProgressSpec, stalled: Callable[[float], None], stuck: Callable[[str], None]) -> None:
        self._spec = spec
        self._stalled = stalled
        self._stuck = stuck
        self._timer: asyncio.TimerHandle | None = None
        self._waits = False
        self._warned = False

    def begin(self, pid: int, output: Callable[[], object]) -> None:
        """Begin to look at a process; `output` is some value that changes when it has written something."""
        times = [seconds for seconds in (self._spec.warn_after, self._spec.restart_after) if seconds is not None]
        if times:
            self._pid, self._output = pid, output
            self._every = min(times) / _LOOKS
            self._seen = (output(), cpu_seconds(pid))
            self._looked_at = self._progressed_at = time.monotonic()
            self._look()

    def hear(self, *, waits: bool) -> None:
        """The agent said a `STATUS=`; while the agent says that it waits, its time without progress does not grow."""
        self._waits = waits
        if self._timer is not None:
            self._progressed()

    def end(self) -> None:
        """It has ended, or is to end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = time.monotonic()
        (output, used), seen = self._seen, (self._output(), cpu_seconds(self._pid))
        # When a descendant ends that nobody waits for, its time is gone from the sum.
        worked = seen[1] < used or seen[1] - used > _IDLE_SHARE * (now - self._looked_at) + _COARSE
        # What kept us from looking kept the agent from working.
        late = now - self._looked_at > 2 * self._every
        self._seen, self._looked_at = seen, now
        if self._waits or late or worked or seen[0] != output:
            self._progressed()
        idle = now - self._progressed_at
        if self._spec.restart_after is not None and idle >= self._spec.restart_after:
            self._timer = None
            self._stuck(f"no progress for {idle:.1f} s: no output, no STATUS=, no CPU time")
            return
        if self._spec.warn_after is not None and idle >= self._spec.warn_after and not self._warned:
            self._warned = True
            self._stalled(idle)
        self._timer = asyncio.get_running_loop().call_later(self._every, self._look)

    def _progressed(self) -> None:
        self._progressed_at = time.monotonic()
        if self._warned:
            self._warned = False
            self._stalled(0.0)
