"""What would happen if a child ended now: the question is put to copies of the supervisors' cores."""

import copy
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from suptree.actors.exits import Exit, ExitClass

from ..decisions.child import ChildState
from ..decisions.core_commands import CancelTimer, Command, ExitSupervisor, KillChild, Report, SetTimer, StartChild, StopChild
from ..decisions.core_events import ChildExited, ChildStarted, Event, TimerFired
from ..decisions.timers import Timer
from .core import SupervisorCore

# A supervisor must not be held up by a question, whatever its core is in the middle of.
_STEPS_OF_A_CHILD = 100
_OBEYED = Exit(ExitClass.SHUTDOWN, "stopped")


class Verb(Enum):
    """What a supervisor does."""

    STOP = "stop"
    KILL = "kill"
    START = "start"
    WAIT = "wait"
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a supervisor would do: `id` is the child, or empty when it exits itself; `delay` is in seconds."""

    verb: Verb
    id: str = ""
    delay: float = 0.0

    def __str__(self) -> str:
        if self.verb is Verb.WAIT:
            return f"wait {self.delay:.3g} s for {self.id}"
        return f"{self.verb.value} {self.id}".strip()


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one supervisor would do about the end of one child.

    `report` is what would be decided, why, and how many restarts would be left; `last_words` is how the supervisor itself would exit,
    if it would.
    """

    report: Report
    actions: tuple[Action, ...]
    last_words: Exit | None


def forecast(core: SupervisorCore, child_id: str, exit_: Exit, now: float) -> Forecast:
    """Ask a copy of one core; KeyError if it has no such child, ValueError if that child does not run.

    Where the supervisor is in the middle of something, that is taken to end well first. Children are taken to start and stop as ordered.
    Raises ValueError too when what it is in the middle of comes to no end.
    """
    rehearsal = _Rehearsal(copy.deepcopy(core), now)
    rehearsal.settle()
    child = rehearsal.core.child(child_id)
    if child.state is not ChildState.RUNNING:
        raise ValueError(f"{child_id} does not run: it is {child.state.value}")
    rehearsal.play(ChildExited(child_id, child.incarnation, exit_))
    return Forecast(rehearsal.reports[0], tuple(rehearsal.actions), rehearsal.last_words)


def escalation(path: Sequence[tuple[SupervisorCore, str]], exit_: Exit, now: float) -> list[Forecast]:
    """Ask each supervisor upwards, as far as the exit goes: `path` is each core and the child of it that would end, innermost first."""
    forecasts: list[Forecast] = []
    for core, child_id in path:
        forecasts.append(forecast(core, child_id, exit_, now))
        last_words = forecasts[-1].last_words
        if last_words is None:
            break
        exit_ = last_words
    return forecasts


class _Rehearsal:
    """A core whose children do what it orders."""

    def __init__(self, core: SupervisorCore, now: float) -> None:
        self.core = core
        self.actions: list[Action] = []
        self.reports: list[Report] = []
        self.last_words: Exit | None = None
        self._now = now
        self._answers: deque[Event] = deque()
        self._timers: dict[Timer, tuple[float, TimerFired]] = {}  # when, and what the core then hears

    def settle(self) -> None:
        """End what is in progress, off the record."""
        most = _STEPS_OF_A_CHILD * (1 + len(self.core.children()))
        for _ in range(most):
            if (child := self.core.awaited()) is None:
                return
            starts = child.state is ChildState.STARTING
            self.core.handle(
                ChildStarted(child.id, child.incarnation) if starts else ChildExited(child.id, child.incarnation, _OBEYED), self._now
            )
        raise ValueError(f"what its supervisor is in the middle of has not come to an end after {most} steps")

    def play(self, event: Event) -> None:
        """Everything that follows from the event, waits included."""
        self._answers.append(event)
        while self._answers or self._timers:
            if not self._answers:
                self._now, fired = min(self._timers.values(), key=lambda timer: timer[0])
                del self._timers[fired.timer]
                self._answers.append(fired)
            for command in self.core.handle(self._answers.popleft(), self._now):
                self._perform(command)

    def _perform(self, command: Command) -> None:
        match command:
            case StartChild(spec, incarnation):
                self.actions.append(Action(Verb.START, spec.id))
                self._answers.append(ChildStarted(spec.id, incarnation))
            case StopChild(child_id, incarnation):
                self.actions.append(Action(Verb.STOP, child_id))
                self._answers.append(ChildExited(child_id, incarnation, _OBEYED))
            case KillChild(child_id, incarnation):
                self.actions.append(Action(Verb.KILL, child_id))
                self._answers.append(ChildExited(child_id, incarnation, _OBEYED))
            case SetTimer(timer, generation, delay):
                self._timers[timer] = (self._now + delay, TimerFired(timer, generation))
            case CancelTimer(timer):
                self._timers.pop(timer, None)
            case Report():
                self.reports.append(command)
                if command.delay:
                    self.actions.append(Action(Verb.WAIT, command.id, command.delay))
            case ExitSupervisor(exit_):
                self.actions.append(Action(Verb.EXIT))
                self.last_words = exit_
