"""The decisions of one supervisor: events in, commands out. No I/O, no clock, no randomness of its own."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from suptree.actors.exits import Exit, ExitClass

from ..decisions.backoff import Uniform
from ..decisions.child import WAITING, Child, ChildState, ChildView, Step
from ..decisions.core_commands import Answer, Command
from ..decisions.core_events import (
    ChildCondemned,
    ChildExited,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
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
from ..decisions.timers import TimerUse
from ..spec.child_spec import ChildSpec, RestartType, SupervisorFlags
from .execution import Execution, Phase, Request, Turn
from .otp_calls import delete_child, restart_child, start_child, terminate_child
from .plan import Aim, Plan

__all__ = ["ChildView", "Phase", "SupervisorCore"]


class SupervisorCore:
    """Decides what becomes of the children of one supervisor.

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
        self._run = Execution(flags, children, uniform)
        for child_id, (incarnation, restarts) in lives.items():
            if child := self._run.children.get(child_id):
                child.incarnation, child.restarts = incarnation, restarts

    # ---- what can be read ----------------------------------------------------------------------

    @property
    def flags(self) -> SupervisorFlags:
        """The rules of this supervisor."""
        return self._run.flags

    @property
    def phase(self) -> Phase:
        """What the supervisor itself is doing; RUNNING when its first children have started."""
        return self._run.phase

    @property
    def is_up(self) -> bool:
        """Whether all first starts are done (OTP: `start_link` has returned)."""
        return self.phase is Phase.RUNNING

    def knows(self, child_id: str) -> bool:
        """Whether there is a child of that id, running or not."""
        return child_id in self._run.children

    def children(self) -> list[ChildView]:
        """Every child in start order."""
        return [child.view() for child in self._run.children.values()]

    def awaited(self) -> ChildView | None:
        """The first child whose start or end was ordered and is not answered yet; not one that ended before its turn came."""
        return next((child.view() for child in self._run.children.values() if child.alive and child.state is not ChildState.RUNNING), None)

    def child(self, child_id: str) -> ChildView:
        """One child; KeyError if there is none of that id."""
        return self._run.children[child_id].view()

    def spec(self, child_id: str) -> ChildSpec:
        """The spec of one child; KeyError if there is none of that id."""
        return self._run.children[child_id].spec

    @property
    def next_start(self) -> ChildSpec | None:
        """Which child is planned to be started when the one that starts now has; None when none starts, or none is to follow."""
        plan = self._run.plan
        if plan is None or plan.stopping:
            return None
        return next((self._run.children[child_id].spec for child_id in plan.starts if child_id in self._run.children), None)

    def restarts_in_window(self, now: float) -> int:
        """How many restarts count against the intensity at that time."""
        return self._run.judge.window.count(now)

    # ---- events --------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Command]:
        """What is to be done about an event at `now`, seconds on a clock that should not go back (if it does, it stands still)."""
        self._run.now = max(self._run.now, now)
        _HANDLERS[type(event)](self, event)
        self._go_on()
        return self._run.orders.take()

    def _supervisor_started(self, _event: SupervisorStarted) -> None:
        if self._run.phase is Phase.NEW:
            self._run.phase = Phase.STARTING
            self._run.plan = Plan(Aim.START_ALL, starts=deque(self._run.children))

    def _child_started(self, event: ChildStarted) -> None:
        child = self._named(event)
        if child is not None and child.alive and child.state is ChildState.STARTING:
            child.move(Step.STARTED)
            child.started_at = self._run.now
            self._run.start_done(child)

    def _child_start_failed(self, event: ChildStartFailed) -> None:
        child = self._named(event)
        if child is not None and child.alive and child.started_at is None:
            self._run.ended(child, event.exit)

    def _child_ignored(self, event: ChildIgnored) -> None:
        child = self._named(event)
        if child is None or not child.alive or child.started_at is not None:
            return
        if child.state is ChildState.STOPPING:
            self._run.ended(child, Exit(ExitClass.SHUTDOWN, "its start was ignored"))
            return
        child.move(Step.ENDED)
        child.detail = "its start was ignored"
        if child.spec.restart is RestartType.TEMPORARY:
            self._run.forget(child)
        self._run.start_done(child)

    def _child_exited(self, event: ChildExited) -> None:
        child = self._named(event)
        if child is not None and child.alive:
            self._run.ended(child, event.exit)

    def _child_condemned(self, event: ChildCondemned) -> None:
        child = self._named(event)
        if child is not None and child.alive and child.state is not ChildState.STOPPING:
            child.condemned = (event.exit_class, event.reason)
            self._run.orders.stop(child)

    def _timer_fired(self, event: TimerFired) -> None:
        timer = event.timer
        if not self._run.orders.timer_fired(timer, event.generation):
            return
        child = self._run.children[timer.child_id]
        if timer.use is TimerUse.KILL:
            self._run.orders.kill(child)
        else:
            child.until = None
            self._run.mailbox.append((Turn.RESUME, timer.child_id))

    def _quota_group_parked(self, event: QuotaGroupParked) -> None:
        if self._run.phase in (Phase.STARTING, Phase.RUNNING):
            self._run.mailbox.append(event)

    def _shutdown_requested(self, _event: ShutdownRequested) -> None:
        if self._run.phase is Phase.SHUTTING_DOWN:
            self._run.orders.killing = True
            for child in self._run.children.values():
                if child.alive and child.state is ChildState.STOPPING:
                    self._run.orders.kill(child)
        elif self._run.phase is not Phase.EXITED:
            self._run.shut_down(self._run.last_words)

    def _which_children_requested(self, event: WhichChildrenRequested) -> None:
        self._run.orders.reply(event.request, Answer.OK, self.children())

    def _count_children_requested(self, event: CountChildrenRequested) -> None:
        active = sum(child.alive for child in self._run.children.values())
        self._run.orders.reply(event.request, Answer.OK, (len(self._run.children), active))

    def _request_came(self, event: Request) -> None:
        if self._run.phase in (Phase.SHUTTING_DOWN, Phase.EXITED):
            self._run.too_late(event)
        else:
            self._run.mailbox.append(event)

    def _terminate_child_requested(self, event: TerminateChildRequested) -> None:
        """What a person should not have to wait for is done at once: OTP's supervisor would be blocked, or does not know the state."""
        child = self._run.children.get(event.id)
        plan = self._run.plan
        if child is None:
            self._request_came(event)
        elif child.alive:
            if child.state is ChildState.STOPPING:
                self._run.orders.stop_harder(child, event.graceful)
            elif self._run.starts(child):
                self._run.orders.stop(child, event.graceful)
            if self._run.starts(child) or (plan is not None and plan.current == event.id and plan.aim is Aim.STOP):
                child.terminations.append(event.request)
            else:
                self._request_came(event)
        elif child.state in WAITING and (plan is None or not plan.names(event.id)):
            terminate_child(self._run, event)
        else:
            self._request_came(event)

    def _go_on(self) -> None:
        """Do all that can be done without waiting for an event."""
        run = self._run
        while run.phase is not Phase.EXITED:
            if run.plan is not None:
                if run.plan.current is not None:
                    return
                run.next_step(run.plan)
            elif run.mailbox and run.phase is not Phase.NEW:
                message = run.mailbox.popleft()
                if isinstance(message, tuple):
                    _TURNS[message[0]](run, message[1])
                else:
                    _SERVED[type(message)](run, message)
            else:
                return

    def _named(self, event: ChildStarted | ChildStartFailed | ChildIgnored | ChildExited | ChildCondemned) -> Child | None:
        """The child that an event is about; None if it names an incarnation that is not the last."""
        child = self._run.children.get(event.id)
        return child if child is not None and child.incarnation == event.incarnation else None


_HANDLERS: dict[type, Callable[[SupervisorCore, Any], None]] = {
    SupervisorStarted: SupervisorCore._supervisor_started,
    ChildStarted: SupervisorCore._child_started,
    ChildStartFailed: SupervisorCore._child_start_failed,
    ChildIgnored: SupervisorCore._child_ignored,
    ChildExited: SupervisorCore._child_exited,
    ChildCondemned: SupervisorCore._child_condemned,
    TimerFired: SupervisorCore._timer_fired,
    QuotaGroupParked: SupervisorCore._quota_group_parked,
    ShutdownRequested: SupervisorCore._shutdown_requested,
    StartChildRequested: SupervisorCore._request_came,
    TerminateChildRequested: SupervisorCore._terminate_child_requested,
    RestartChildRequested: SupervisorCore._request_came,
    DeleteChildRequested: SupervisorCore._request_came,
    WhichChildrenRequested: SupervisorCore._which_children_requested,
    CountChildrenRequested: SupervisorCore._count_children_requested,
}

_SERVED: dict[type, Callable[[Execution, Any], None]] = {
    StartChildRequested: start_child,
    TerminateChildRequested: terminate_child,
    RestartChildRequested: restart_child,
    DeleteChildRequested: delete_child,
    QuotaGroupParked: Execution.park_quota_group,
}

_TURNS: dict[Turn, Callable[[Execution, str], None]] = {
    Turn.DECIDE: Execution.decide,
    Turn.TRY_AGAIN: Execution.try_again,
    Turn.RESUME: Execution.resume,
    Turn.RELEASE: Execution.release,
}
