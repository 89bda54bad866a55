"""The timers that a core sets, and that reach it as events when they fire."""

import asyncio
from collections.abc import Callable
from functools import partial

from suptree.actors.base.deadlines import Deadline, Deadlines

from ..decisions.core_commands import CancelTimer, SetTimer
from ..decisions.core_events import TimerFired
from ..decisions.timers import Timer, TimerUse
from .children import Children


class CoreTimers:
    """Each is a deadline. That for the kill of a child is put off by the time that the child asks for; the others keep to their time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, children: Children, fired: Callable[[TimerFired], None]) -> None:
        self._children = children
        self._never_put_off = Deadlines(loop)
        self._fired = fired
        self._set: dict[Timer, Deadline] = {}

    def set(self, command: SetTimer) -> None:
        """Set a timer, in the place of the one of that name."""
        self.cancel(CancelTimer(command.timer))
        child = self._children.get(command.timer.child_id) if command.timer.use is TimerUse.KILL else None
        deadlines = self._never_put_off if child is None else child.deadlines
        self._set[command.timer] = deadlines.set(command.delay, partial(self._fire, TimerFired(command.timer, command.generation)))

    def cancel(self, command: CancelTimer) -> bool:
        """Forget a timer, if it is still set; return whether it was."""
        deadline = self._set.pop(command.timer, None)
        if deadline is not None:
            deadline.cancel()
        return deadline is not None

    def cancel_all(self) -> None:
        """Forget all of them."""
        for timer in list(self._set):
            self.cancel(CancelTimer(timer))

    def _fire(self, fired: TimerFired) -> None:
        del self._set[fired.timer]
        self._fired(fired)
