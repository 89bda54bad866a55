"""What a supervisor core hears. Past tense: each of these has happened.

Every event about a child names its incarnation; one that names an old incarnation changes nothing.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from suptree.actors.exits import Exit, ExitClass

from ..spec.child_spec import ChildSpec
from .timers import Timer


@dataclass(frozen=True, slots=True)
class SupervisorStarted:
    """The supervisor itself is up: the children of its spec are to be started, in order."""


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """A start attempt succeeded."""

    id: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class ChildStartFailed:
    """A start attempt failed, and nothing of it is left running (OTP: `{error, Reason}`)."""

    id: str
    incarnation: int
    exit: Exit


@dataclass(frozen=True, slots=True)
class ChildIgnored:
    """A start attempt declined to start anything (OTP: `ignore`)."""

    id: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class ChildExited:
    """An incarnation has ended, from any cause, and nothing of it is left running."""

    id: str
    incarnation: int
    exit: Exit


@dataclass(frozen=True, slots=True)
class ChildCondemned:
    """A cause was recorded (hung, unhealthy, budget, startup timeout) for which the living incarnation must end.

    It is stopped as its spec says, and then handled as if it had exited with that class.
    """

    id: str
    incarnation: int
    exit_class: ExitClass
    reason: str


@dataclass(frozen=True, slots=True)
class ChildUnkillable:
    """Processes of the living incarnation were sent SIGKILL and do not die. Its ChildExited comes when they have: perhaps never."""

    id: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that was set has run out; one of an older generation does nothing."""

    timer: Timer
    generation: int


@dataclass(frozen=True, slots=True)
class QuotaGroupParked:
    """A member of the quota group, under whichever supervisor, ran into the quota; `retry_after` is in seconds from now."""

    quota_group: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """The parent, or a person, wants this supervisor and all its children stopped.

    A second one skips the remaining grace: whatever still stops is killed.
    """


@dataclass(frozen=True, slots=True)
class StartChildRequested:
    """OTP's `start_child`. `last_incarnation` and `restarts` let an id that lived before go on counting."""

    request: Hashable
    spec: ChildSpec
    last_incarnation: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class TerminateChildRequested:
    """OTP's `terminate_child`; with `graceful=False` the child is killed immediately. A second request kills a stopping child sooner."""

    request: Hashable
    id: str
    graceful: bool = True


@dataclass(frozen=True, slots=True)
class RestartChildRequested:
    """OTP's `restart_child`: start a child that is stopped but whose spec is kept."""

    request: Hashable
    id: str


@dataclass(frozen=True, slots=True)
class DeleteChildRequested:
    """OTP's `delete_child`."""

    request: Hashable
    id: str


@dataclass(frozen=True, slots=True)
class WhichChildrenRequested:
    """OTP's `which_children`."""

    request: Hashable


@dataclass(frozen=True, slots=True)
class CountChildrenRequested:
    """OTP's `count_children`."""

    request: Hashable


Event = (
    SupervisorStarted
    | ChildStarted
    | ChildStartFailed
    | ChildIgnored
    | ChildExited
    | ChildCondemned
    | ChildUnkillable
    | TimerFired
    | QuotaGroupParked
    | ShutdownRequested
    | StartChildRequested
    | TerminateChildRequested
    | RestartChildRequested
    | DeleteChildRequested
    | WhichChildrenRequested
    | CountChildrenRequested
)
