"""Children whose process cannot be forked now, because the limit of processes, memory or descriptors is reached: each is tried again."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from suptree.actors.exits import CauseId, Exit, ExitClass

from ..decisions.core_commands import KillChild, StartChild, StopChild

log = structlog.get_logger()

TRY_FOR = 10.0
"""So many seconds; then the start has failed."""
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 1.0


@dataclass(slots=True)
class _Waiting:
    command: StartChild
    until: float
    wait: float = _FIRST_WAIT
    timer: asyncio.TimerHandle | None = None


class ForksAgain:
    """`again` performs a start once more; `failed` is called, from the loop, when the time is over or the start is taken back."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, again: Callable[[StartChild], None], failed: Callable[[StartChild, Exit], None]
    ) -> None:
        self._loop = loop
        self._again = again
        self._failed = failed
        self._waiting: dict[str, _Waiting] = {}

    def could_not(self, command: StartChild, error: OSError) -> bool:
        """Take in that a child could not be forked; return whether it is the first time for this start."""
        child_id = command.spec.id
        first = child_id not in self._waiting
        waiting = self._waiting.setdefault(child_id, _Waiting(command, self._loop.time() + TRY_FOR))
        if first:
            log.warning("start_waits", child=child_id, incarnation=command.incarnation, error=error.strerror, limit=TRY_FOR)
        if self._loop.time() + waiting.wait > waiting.until:
            how = Exit(ExitClass.FAILED, f"no process could be forked for it: {error.strerror}", during_start=True, cause=CauseId.SHORTAGE)
            self._give_up(waiting, how)
        else:
            waiting.timer = self._loop.call_later(waiting.wait, self._again, command)
            waiting.wait = min(2 * waiting.wait, _LONGEST_WAIT)
        return first

    def could(self, child_id: str) -> None:
        """It has a process now."""
        self._waiting.pop(child_id, None)

    def take_back(self, order: StopChild | KillChild) -> None:
        """The child is to be stopped: if its start still waits, that is over."""
        waiting = self._waiting.get(order.id)
        if waiting is not None and waiting.command.incarnation == order.incarnation:
            self._give_up(waiting, Exit(ExitClass.SHUTDOWN, "stop requested", during_start=True))

    def _give_up(self, waiting: _Waiting, how: Exit) -> None:
        if waiting.timer is not None:
            waiting.timer.cancel()
        del self._waiting[waiting.command.spec.id]
        # The core is in the middle of its commands, perhaps.
        self._loop.call_soon(self._failed, waiting.command, how)
