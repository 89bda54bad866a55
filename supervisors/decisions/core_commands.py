"""What a supervisor core orders. Imperative: the actor around the core performs each, in order, and holds no policy."""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from suptree.actors.exits import Exit

from ..spec.child_spec import BrutalKill, ChildSpec
from .timers import Timer


@dataclass(frozen=True, slots=True)
class StartChild:
    """Start this incarnation; answer with ChildStarted, ChildStartFailed or ChildIgnored."""

    spec: ChildSpec
    incarnation: int
    restarts: int


@dataclass(frozen=True, slots=True)
class StopChild:
    """Ask the child to end, by its stop ladder; answer with ChildExited when nothing of it is left.

    The core watches the time: a KillChild follows when `shutdown` seconds are over.
    """

    id: str
    incarnation: int
    shutdown: float | BrutalKill


@dataclass(frozen=True, slots=True)
class KillChild:
    """End the child now, without grace; answer with ChildExited when nothing of it is left."""

    id: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Answer with TimerFired(timer, generation) after `delay` seconds; setting a timer again replaces the one that was set."""

    timer: Timer
    generation: int
    delay: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget the timer, if it is still set."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class ParkQuotaGroup:
    """Tell every other supervisor: QuotaGroupParked. This one has seen to its own children."""

    quota_group: str
    retry_after: float | None


class Answer(Enum):
    """What a request was answered with; OTP's words."""

    OK = "ok"
    NOT_FOUND = "not_found"
    RUNNING = "running"
    RESTARTING = "restarting"
    ALREADY_STARTED = "already_started"
    ALREADY_PRESENT = "already_present"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer a request. `value` is the reason of a refusal, or the rows of which_children or the pair of count_children."""

    request: Hashable
    answer: Answer
    value: Any = None


class Decision(Enum):
    """What comes next for a child that ended."""

    RESTART = "restart"
    """It, and the siblings that its strategy takes along, are started again."""
    LEAVE = "leave"
    """Its restart type says that it stays down."""
    HOLD = "hold"
    """A restart cannot help: it waits for a person."""
    PARK = "park"
    """It waits for a quota, and is then started again; costs no restart."""
    QUARANTINE = "quarantine"
    """It exceeded a limit and stays down; its siblings are left alone."""
    ESCALATE = "escalate"
    """The supervisor exceeded its restart intensity and gives up."""
    AUTO_SHUTDOWN = "auto_shutdown"
    """It was significant: its end shuts the supervisor down."""
    WAIT = "wait"
    """Its supervisor waits for the start of a sibling, and decides after that; another report follows."""


@dataclass(frozen=True, slots=True)
class Report:
    """Report to the registry what was decided about a child that ended, and why; or that a living child parks with its group.

    `delay` is how many seconds it waits first; `affected` are the ids that its restart stops or starts, itself among them, in start order
    (none for one that is itself taken along by a sibling's restart);
    `restarts_left` is how many more restarts are allowed by the limit that governs the child: its own, or else its supervisor's.
    """

    id: str
    incarnation: int
    decision: Decision
    why: str
    delay: float = 0.0
    affected: tuple[str, ...] = ()
    restarts_left: int | None = None


@dataclass(frozen=True, slots=True)
class ExitSupervisor:
    """All children are down: exit. The class is `shutdown` when it gave up or was asked to end (OTP: reason `shutdown`)."""

    exit: Exit


Command = StartChild | StopChild | KillChild | SetTimer | CancelTimer | ParkQuotaGroup | Reply | Report | ExitSupervisor
