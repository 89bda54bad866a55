"""Who no longer stamps: the services, which the top supervisor watches, or the top supervisor, which the launcher watches."""

import asyncio
import time
from collections.abc import Callable

from ..base.life_stamps import LifeStamps
from ..base.messages import Silent, Suspect, Watch
from ..spec.agent_spec import HeartbeatSpec
from .liveness import Liveness


class StampWatch:
    """Looks at the stamps whenever one could be overdue, by the rules by which agents are judged: what it looks late is excused.

    `say` is called with each verdict.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, stamps: LifeStamps, spec: HeartbeatSpec, say: Callable[[Silent | Suspect], None]
    ) -> None:
        self._loop = loop
        self._stamps = stamps
        self._spec = spec
        self._say = say
        self._liveness = Liveness()
        self._watched: dict[tuple[str, int], tuple[int, float]] = {}
        """Name and incarnation to the pid, and the last stamp that was looked at."""
        self._timer: asyncio.TimerHandle | None = None
        self._scheduled = 0.0

    def watch(self, name: str, incarnation: int, pid: int) -> None:
        """Expect stamps of this incarnation from now on."""
        self._watched[name, incarnation] = (pid, self._stamps.seen(name))
        self._liveness.watch(Watch(name, incarnation, self._spec, pid), time.monotonic())
        self._set_timer()

    def unwatch(self, name: str, incarnation: int) -> None:
        """Expect no more stamps of this incarnation."""
        self._watched.pop((name, incarnation), None)
        self._liveness.unwatch((name, incarnation))

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (deadline := self._liveness.next_deadline()) is not None:
            self._scheduled = deadline
            self._timer = self._loop.call_later(max(0.0, deadline - time.monotonic()), self._look)

    def _look(self) -> None:
        for key, (pid, last) in list(self._watched.items()):
            if (seen := self._stamps.seen(key[0])) > last:
                self._watched[key] = (pid, seen)
                if cleared := self._liveness.pinged(pid, key, seen):
                    self._say(cleared)
        for verdict in self._liveness.judge(time.monotonic(), self._scheduled):
            self._say(verdict)
        self._set_timer()
