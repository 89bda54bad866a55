"""The decisions of one supervisor: events in, commands out. No I/O, no clock, no randomness of its own."""

from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..decisions.backoff import Uniform
from ..decisions.child import ALIVE, RESTARTING, ChildState, ChildView
from ..decisions.core_commands import Command
from ..decisions.core_events import (
    ChildCondemned,
    ChildExited,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    ChildUnkillable,
    CountChildrenRequested,
    DeleteChildRequested,
    Event,
    QuotaGroupParked,
    RestartChildRequested,
    ShutdownRequested,
    StartChildRequested,
    SupervisorStarted,
    TerminateChildRequested,
    TimerFired,
    WhichChildrenRequested,
)
from ..spec.child_spec import ChildSpec, SupervisorFlags
from .child_events import child_condemned, child_exited, child_ignored, child_start_failed, child_started, child_unkillable, timer_fired
from .core_state import CoreState, Phase, Turn
from .otp_calls import (
    call_came,
    count_children,
    delete_child,
    restart_child,
    start_child,
    terminate_child,
    terminate_child_came,
    which_children,
)
from .outcomes import decide, release, resume, try_again
from .plan import Aim, Plan
from .plan_steps import next_step
from .quota_groups import park_quota_group, quota_group_parked
from .shutdown import shutdown_requested

__all__ = ["ChildView", "Phase", "SupervisorCore"]


class SupervisorCore:
    """Decides which children of one supervisor start, stop and restart, and when.

    `lives` says which incarnation and how many restarts each child had under an earlier supervisor, so that they go on counting.
    `uniform(low, high)` is where jitter comes from. Raises SpecError for children that cannot work together or under these flags.
    """

    def __init__(
        self,
        flags: SupervisorFlags,
        children: Sequence[ChildSpec],
        *,
        lives: Mapping[str, tuple[int, int]] = MappingProxyType({}),
        uniform: Uniform | None = None,
    ) -> None:
        self._state = CoreState(flags, children, uniform)
        for child_id, (incarnation, restarts) in lives.items():
            if child := self._state.children.get(child_id):
                child.incarnation, child.restarts = incarnation, restarts

    # ---- what can be read ----------------------------------------------------------------------

    @property
    def flags(self) -> SupervisorFlags:
        """The rules of this supervisor."""
        return self._state.flags

    @property
    def phase(self) -> Phase:
        """What the supervisor itself is doing; RUNNING when its first children have started."""
        return self._state.phase

    @property
    def is_up(self) -> bool:
        """Whether all first starts are done (OTP: `start_link` has returned)."""
        return self.phase is Phase.RUNNING

    @property
    def now(self) -> float:
        """The latest time that any event came with, in seconds on the clock of `handle`."""
        return self._state.now

    def knows(self, child_id: str) -> bool:
        """Whether there is a child of that id, running or not."""
        return child_id in self._state.children

    def children(self) -> list[ChildView]:
        """Every child in start order."""
        return [child.view() for child in self._state.children.values()]

    def awaited(self) -> ChildView | None:
        """The first child whose start or end was ordered and is not answered yet; not one that ended before its turn came."""
        return next((c.view() for c in self._state.children.values() if c.alive and c.state is not ChildState.RUNNING), None)

    def child(self, child_id: str) -> ChildView:
        """One child; KeyError if there is none of that id."""
        return self._state.children[child_id].view()

    def spec(self, child_id: str) -> ChildSpec:
        """The spec of one child; KeyError if there is none of that id."""
        return self._state.children[child_id].spec

    def comes_back(self, child_id: str) -> bool:
        """Whether that child runs, or is going to be started without being asked."""
        child, plan = self._state.children.get(child_id), self._state.plan
        if child is None or child.state in (ChildState.HELD, ChildState.QUARANTINED):
            return False
        planned = plan is not None and child_id in plan.starts
        return child.state in ALIVE or child.state in RESTARTING or child.waits_for is not None or planned

    def carries_out(self, request: Hashable) -> bool:
        """Whether that request to start a child is what this core is in the middle of; if not, and it is not answered, it waits."""
        plan = self._state.plan
        return plan is not None and plan.request == request

    @property
    def next_start(self) -> ChildSpec | None:
        """Which child is planned to be started when the one that starts now has; None when none starts, or none is to follow."""
        children, plan = self._state.children, self._state.plan
        if plan is None or plan.stopping:
            return None
        return next((children[child_id].spec for child_id in plan.starts if child_id in children), None)

    def restarts_in_window(self, now: float) -> int:
        """How many restarts count against the intensity at that time."""
        return self._state.judge.window.count(now)

    # ---- events --------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Command]:
        """What is to be done about an event at `now`, seconds on a clock that should not go back (if it does, it stands still)."""
        state = self._state
        state.now = max(state.now, now)
        _HEARD[type(event)](state, event)
        _go_on(state)
        return state.commander.take()


def _go_on(state: CoreState) -> None:
    """Do all that can be done without waiting for an event: the plan first, then what waits for it to end, one after the other."""
    while state.phase is not Phase.EXITED:
        if state.plan is not None:
            if state.plan.current is not None:
                return
            next_step(state, state.plan)
        elif (message := state.next_message()) is None:
            return
        elif isinstance(message, tuple):
            _TURNS[message[0]](state, message[1])
        else:
            _SERVED[type(message)](state, message)


def _supervisor_started(state: CoreState, _event: SupervisorStarted) -> None:
    if state.phase is Phase.NEW:
        state.begin(Plan(Aim.START_ALL, starts=deque(state.children)))


# Every event, when it comes.
_HEARD: dict[type, Callable[[CoreState, Any], None]] = {
    SupervisorStarted: _supervisor_started,
    ChildStarted: child_started,
    ChildStartFailed: child_start_failed,
    ChildIgnored: child_ignored,
    ChildExited: child_exited,
    ChildCondemned: child_condemned,
    ChildUnkillable: child_unkillable,
    TimerFired: timer_fired,
    QuotaGroupParked: quota_group_parked,
    ShutdownRequested: shutdown_requested,
    StartChildRequested: call_came,
    TerminateChildRequested: terminate_child_came,
    RestartChildRequested: call_came,
    DeleteChildRequested: call_came,
    WhichChildrenRequested: which_children,
    CountChildrenRequested: count_children,
}

# Events that waited in the mailbox, when their turn comes.
_SERVED: dict[type, Callable[[CoreState, Any], None]] = {
    StartChildRequested: start_child,
    TerminateChildRequested: terminate_child,
    RestartChildRequested: restart_child,
    DeleteChildRequested: delete_child,
    QuotaGroupParked: park_quota_group,
}

# What waited in the mailbox to be done about one child.
_TURNS: dict[Turn, Callable[[CoreState, str], None]] = {
    Turn.DECIDE: decide,
    Turn.TRY_AGAIN: try_again,
    Turn.RESUME: resume,
    Turn.RELEASE: release,
}
