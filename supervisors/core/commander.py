"""Gives the commands of a core, and writes down in the child's record what each of them leaves behind."""

import math
from collections.abc import Hashable
from typing import Any

from ..decisions.child import Child, Step
from ..decisions.core_commands import Answer, CancelTimer, Command, KillChild, Reply, SetTimer, StartChild, StopChild
from ..decisions.timers import Timer, TimerUse
from ..spec.child_spec import BRUTAL_KILL


class Commander:
    """Collects commands until they are taken, and knows which timers are set. `killing` leaves no grace to any child."""

    def __init__(self) -> None:
        self.killing = False
        self._out: list[Command] = []
        self._timers: dict[Timer, int] = {}  # the generation of each that is set
        self._generation = 0

    def add(self, command: Command) -> None:
        """Give one command."""
        self._out.append(command)

    def take(self) -> list[Command]:
        """All commands since the last time."""
        out, self._out = self._out, []
        return out

    def reply(self, request: Hashable, answer: Answer, value: Any = None) -> None:
        """Answer a request."""
        self._out.append(Reply(request, answer, value))

    def answer_terminations(self, child: Child) -> None:
        """The child is down: answer the requests that wanted that."""
        for request in child.terminations:
            self.reply(request, Answer.OK)
        child.terminations.clear()

    def start(self, child: Child) -> None:
        """Begin the next incarnation."""
        child.begin_incarnation()
        self._out.append(StartChild(child.spec, child.incarnation, child.restarts))

    def stop(self, child: Child, graceful: bool = True) -> None:
        """Stop as the spec says, or kill immediately; the child has at most `shutdown` seconds."""
        child.move(Step.STOP)
        shutdown = child.spec.shutdown
        if not graceful or self.killing or shutdown is BRUTAL_KILL:
            self.kill(child)
            return
        self._out.append(StopChild(child.spec.id, child.incarnation, shutdown))
        if math.isfinite(shutdown):
            self.set_timer(TimerUse.KILL, child, shutdown)

    def stop_harder(self, child: Child, graceful: bool) -> None:
        """The child is being stopped, and the stop is requested again; its time does not begin anew."""
        if graceful and not child.killed:
            self._out.append(StopChild(child.spec.id, child.incarnation, child.spec.shutdown))
        else:
            self.kill(child)

    def kill(self, child: Child) -> None:
        """End the child now."""
        child.killed = True
        self.cancel_timer(TimerUse.KILL, child)
        self._out.append(KillChild(child.spec.id, child.incarnation))

    def set_resume(self, child: Child, delay: float, now: float) -> None:
        """Set when a backoff or park ends, also of a child that is still being stopped for it."""
        child.until = now + delay
        self.set_timer(TimerUse.RESUME, child, delay)

    def stop_waiting(self, child: Child) -> None:
        """Whatever the child waited for, it is down now."""
        child.move(Step.GIVE_UP)
        self.cancel_resume(child)

    def cancel_resume(self, child: Child) -> None:
        """The backoff or park of the child is over."""
        child.until = None
        self.cancel_timer(TimerUse.RESUME, child)

    def set_timer(self, use: TimerUse, child: Child, delay: float) -> None:
        """Set a timer, instead of the one that the child had for that use."""
        self._generation += 1
        timer = Timer(use, child.spec.id)
        self._timers[timer] = self._generation
        self._out.append(SetTimer(timer, self._generation, delay))

    def cancel_timer(self, use: TimerUse, child: Child) -> None:
        """Forget a timer, if it is set."""
        timer = Timer(use, child.spec.id)
        if self._timers.pop(timer, None) is not None:
            self._out.append(CancelTimer(timer))

    def timer_fired(self, timer: Timer, generation: int) -> bool:
        """Whether the timer that ran out is the one that is set; it is set no longer."""
        if self._timers.get(timer) != generation:
            return False
        del self._timers[timer]
        return True
