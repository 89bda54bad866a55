"""A core on a clock that tests set, with children that start and stop when the test says so."""

from collections.abc import Iterable, Sequence
from typing import Any

from suptree.actors.exits import Exit, ExitClass
from suptree.supervisors.core.core import SupervisorCore
from suptree.supervisors.decisions.core_commands import (
    CancelTimer,
    Command,
    ExitSupervisor,
    KillChild,
    ParkQuotaGroup,
    Reply,
    Report,
    SetTimer,
    StartChild,
    StopChild,
)
from suptree.supervisors.decisions.core_events import (
    ChildExited,
    ChildStarted,
    ChildStartFailed,
    DeleteChildRequested,
    Event,
    RestartChildRequested,
    StartChildRequested,
    SupervisorStarted,
    TerminateChildRequested,
    TimerFired,
)
from suptree.supervisors.decisions.timers import Timer
from suptree.supervisors.spec.child_spec import ChildSpec, RestartType, SupervisorFlags

CRASH = Exit(ExitClass.CRASH, "SIGSEGV")
FAILED = Exit(ExitClass.FAILED, "exit 1")
NORMAL = Exit(ExitClass.NORMAL, "exit 0")
STOPPED = Exit(ExitClass.SHUTDOWN, "stopped")
PERMANENT_FAILURE = Exit(ExitClass.PERMANENT, "exit 127")
QUOTA = Exit(ExitClass.QUOTA, "exit 75")

PERMANENT, TRANSIENT, TEMPORARY = RestartType.PERMANENT, RestartType.TRANSIENT, RestartType.TEMPORARY


def high(_low: float, high: float) -> float:
    """No jitter: always the longest."""
    return high


def specs(ids: Iterable[str], **fields: Any) -> list[ChildSpec]:
    """One child for each id or letter, all alike."""
    return [ChildSpec(id=i, **fields) for i in ids]


def said(command: Command) -> str:
    """A command in a few words, so that tests can state what they expect."""
    match command:
        case StartChild(spec, incarnation):
            words = f"start {spec.id}{incarnation}"
        case StopChild(child_id, incarnation):
            words = f"stop {child_id}{incarnation}"
        case KillChild(child_id, incarnation):
            words = f"kill {child_id}{incarnation}"
        case SetTimer(timer, _, delay):
            words = f"set {timer.use.value} {timer.child_id} {delay:g}"
        case CancelTimer(timer):
            words = f"cancel {timer.use.value} {timer.child_id}"
        case Reply(request, answer):
            words = f"reply {request} {answer.value}"
        case Report(child_id, _, decision):
            words = f"report {child_id} {decision.value}"
        case ParkQuotaGroup(group):
            words = f"park {group}"
        case ExitSupervisor(exit_):
            words = f"exit {exit_.exit_class}"
    return words


class Driver:
    """Feeds a core and remembers what it set; `auto` children start and stop immediately."""

    def __init__(
        self, children: Sequence[ChildSpec], *, auto: bool = True, started: bool = True, uniform: Any = high, **flags: Any
    ) -> None:
        self.core = SupervisorCore(SupervisorFlags(**flags), children, uniform=uniform)
        self.auto = auto
        self.now = 0.0
        self.timers: dict[Timer, tuple[float, TimerFired]] = {}
        self.commands: list[Any] = []  # whatever was ordered in the last feed
        if started:
            self.feed(SupervisorStarted())

    def feed(self, *events: Event) -> list[str]:
        """What the core orders, and what follows from that if children are `auto`."""
        self.commands = []
        waiting = list(events)
        while waiting:
            for command in self.core.handle(waiting.pop(0), self.now):
                self.commands.append(command)
                match command:
                    case SetTimer(timer, generation, delay):
                        self.timers[timer] = (self.now + delay, TimerFired(timer, generation))
                    case CancelTimer(timer):
                        self.timers.pop(timer, None)
                    case StartChild(spec, incarnation) if self.auto:
                        waiting.append(ChildStarted(spec.id, incarnation))
                    case StopChild(child_id, incarnation) | KillChild(child_id, incarnation) if self.auto:
                        waiting.append(ChildExited(child_id, incarnation, STOPPED))
        return [said(command) for command in self.commands]

    @property
    def phase(self) -> str:
        """What the supervisor itself is doing."""
        return self.core.phase.value

    def incarnation(self, child_id: str) -> int:
        """The number of its last life."""
        return self.core.child(child_id).incarnation

    def started(self, child_id: str) -> list[str]:
        """The start that was ordered succeeds."""
        return self.feed(ChildStarted(child_id, self.incarnation(child_id)))

    def start_fails(self, child_id: str, exit_: Exit = FAILED) -> list[str]:
        """The start that was ordered fails."""
        return self.feed(ChildStartFailed(child_id, self.incarnation(child_id), exit_))

    def exits(self, child_id: str, exit_: Exit = CRASH) -> list[str]:
        """The child ends."""
        return self.feed(ChildExited(child_id, self.incarnation(child_id), exit_))

    def terminate(self, child_id: str, request: str = "t", graceful: bool = True) -> list[str]:
        """terminate_child."""
        return self.feed(TerminateChildRequested(request, child_id, graceful))

    def restart(self, child_id: str, request: str = "r") -> list[str]:
        """restart_child."""
        return self.feed(RestartChildRequested(request, child_id))

    def delete(self, child_id: str, request: str = "d") -> list[str]:
        """delete_child."""
        return self.feed(DeleteChildRequested(request, child_id))

    def start(self, spec: ChildSpec, request: str = "s", last_incarnation: int = 0) -> list[str]:
        """start_child."""
        return self.feed(StartChildRequested(request, spec, last_incarnation))

    def pass_time(self, seconds: float) -> list[str]:
        """The timers that are due fire, in order."""
        until = self.now + seconds
        given: list[str] = []
        while due := {timer: when for timer, (when, _) in self.timers.items() if when <= until}:
            timer = min(due, key=lambda timer: (due[timer], timer.use.value, timer.child_id))
            self.now = due[timer]
            given += self.feed(self.timers.pop(timer)[1])
        self.now = until
        return given

    def states(self) -> dict[str, str]:
        """What each child is doing."""
        return {child.id: child.state.value for child in self.core.children()}

    def report(self) -> Report:
        """The last report of the last feed."""
        return next(c for c in reversed(self.commands) if isinstance(c, Report))
