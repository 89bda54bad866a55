"""One child as its supervisor's core knows it: the states, the table of what may follow what, and the record."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from enum import Enum

from suptree.actors.exits import Exit, ExitClass

from ..spec.child_spec import ChildSpec


class ChildState(Enum):
    """What a child is doing, as far as its supervisor has decided."""

    DOWN = "down"
    """Nothing of it runs, and nothing is planned (OTP: `undefined`)."""
    STARTING = "starting"
    """StartChild was ordered and is not answered yet."""
    RUNNING = "running"
    STOPPING = "stopping"
    """StopChild or KillChild was ordered; ChildExited has not come yet."""
    RESTARTING = "restarting"
    """A start failed and is tried again as soon as the requests before it are served (OTP: `restarting`)."""
    BACKING_OFF = "backing_off"
    """It is started again when its timer fires."""
    PARKED = "parked"
    """It waits for a quota, and is started again when its timer fires."""
    HELD = "held"
    """A restart cannot help: it waits for a person."""
    QUARANTINED = "quarantined"
    """It exceeded a limit: it waits for a person."""


class Step(Enum):
    """What moves a child from one state to the next: an event about it, or a decision of the core."""

    START = "start"
    STARTED = "started"
    STOP = "stop"
    ENDED = "ended"
    TRY_AGAIN = "try_again"
    BACK_OFF = "back_off"
    PARK = "park"
    HOLD = "hold"
    QUARANTINE = "quarantine"
    GIVE_UP = "give_up"


# What is not written here cannot happen.
TRANSITIONS: dict[ChildState, dict[Step, ChildState]] = {
    ChildState.DOWN: {
        Step.START: ChildState.STARTING,
        Step.TRY_AGAIN: ChildState.RESTARTING,
        Step.BACK_OFF: ChildState.BACKING_OFF,
        Step.PARK: ChildState.PARKED,
        Step.HOLD: ChildState.HELD,
        Step.QUARANTINE: ChildState.QUARANTINED,
    },
    ChildState.STARTING: {
        Step.STARTED: ChildState.RUNNING,
        Step.STOP: ChildState.STOPPING,
        Step.ENDED: ChildState.DOWN,
    },
    ChildState.RUNNING: {
        Step.STOP: ChildState.STOPPING,
        Step.ENDED: ChildState.DOWN,
    },
    ChildState.STOPPING: {
        Step.ENDED: ChildState.DOWN,
    },
    ChildState.RESTARTING: {Step.GIVE_UP: ChildState.DOWN},
    ChildState.BACKING_OFF: {Step.GIVE_UP: ChildState.DOWN},
    ChildState.PARKED: {Step.GIVE_UP: ChildState.DOWN},
    ChildState.HELD: {Step.GIVE_UP: ChildState.DOWN},
    ChildState.QUARANTINED: {Step.GIVE_UP: ChildState.DOWN},
}

ALIVE = frozenset({ChildState.STARTING, ChildState.RUNNING, ChildState.STOPPING})
"""Something of the child runs, or may run."""

RESTARTING = frozenset({ChildState.RESTARTING, ChildState.BACKING_OFF, ChildState.PARKED})
"""The child will be started again without being asked (OTP calls all of these `restarting`)."""

WAITING = frozenset({ChildState.BACKING_OFF, ChildState.PARKED, ChildState.HELD, ChildState.QUARANTINED})
"""The child waits for a timer or a person, which OTP does not know."""


_NEVER_RAN = Exit(ExitClass.SHUTDOWN, "never started")


@dataclass(slots=True)
class Child:
    """A child spec, and how the child stands.

    `restarts` counts every automatic restart for good; `in_a_row` counts those that its own exits and failed starts caused, and is what
    backoff and the child's own limit look at; a healthy life forgets them.
    """

    spec: ChildSpec
    incarnation: int = 0
    state: ChildState = ChildState.DOWN
    restarts: int = 0
    in_a_row: int = 0
    started_at: float | None = None
    last_exit: Exit = _NEVER_RAN
    """How the last incarnation, or the last attempt to start one, ended."""
    unhandled: bool = False
    """It has ended, and the core has yet to decide about it (OTP: the exit signal is still in the mailbox)."""
    condemned: tuple[ExitClass, str] | None = None
    killed: bool = False
    unkillable: bool = False
    """It does not die: nothing waits for its end but what needs it."""
    parks: bool = False
    """It is being stopped in order to be parked."""
    until: float | None = None
    """When its backoff or park ends."""
    waits_for: str | None = None
    """The sibling whose backoff or park this one shares, or whose end it needs."""
    terminations: list[Hashable] = field(default_factory=list)
    """The terminate_child requests that are answered when it is down."""
    fingerprint: str | None = None
    alike: int = 0
    """How many exits in a row had that fingerprint, if there is one."""
    detail: str = ""

    @property
    def alive(self) -> bool:
        """Whether something of it may still run."""
        return self.state in ALIVE and not self.unhandled

    def move(self, step: Step) -> None:
        """Change state as the table says."""
        self.state = TRANSITIONS[self.state][step]

    def begin_incarnation(self) -> None:
        """Its start is ordered."""
        self.move(Step.START)
        self.incarnation += 1
        self.started_at = None
        self.waits_for = None
        self.detail = ""

    def has_started(self, now: float) -> None:
        """Its start has succeeded."""
        self.move(Step.STARTED)
        self.started_at = now

    def end_incarnation(self, exit_: Exit, now: float) -> None:
        """Nothing of the incarnation is left. A cause that was recorded is how it ended, and a healthy life forgives what was before."""
        if self.condemned is not None:
            exit_class, reason = self.condemned
            exit_ = replace(exit_, exit_class=exit_class, reason=reason)
            self.condemned = None
        self.last_exit = exit_
        self.killed = self.unkillable = False
        if self.started_at is not None and now - self.started_at >= self.spec.forgets_after:
            self.fingerprint = None
            self.in_a_row = 0

    def view(self) -> "ChildView":
        """What it looks like from outside."""
        return ChildView(self.spec.id, self.state, self.incarnation, self.restarts, self.detail, self.until, self.waits_for)


@dataclass(frozen=True, slots=True)
class ChildView:
    """One row of which_children: `until` is when its backoff or park ends, on the core's clock."""

    id: str
    state: ChildState
    incarnation: int
    restarts: int
    detail: str
    until: float | None
    waits_for: str | None
