"""The decisions of one supervisor: events in, commands out. No I/O, no clock, no randomness of its own.

OTP's supervisor blocks while it stops and starts children, and what arrives meanwhile waits in its mailbox. The core cannot block, so it
has a plan (`plan.py`) that each event moves on, and a mailbox of its own for what would wait in OTP's.
"""

from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from suptree.actors.errors import SpecError
from suptree.actors.exits import Exit, ExitClass

from .backoff import Uniform, check_limits, delay_before, is_healthy
from .child import ALIVE, RESTARTING, WAITING, Child, ChildState, Step
from .child_spec import BRUTAL_KILL, INFINITY, AutoShutdown, ChildSpec, OnLimit, RestartType, Strategy, SupervisorFlags
from .commands import (
    Answer,
    CancelTimer,
    Command,
    Decision,
    ExitSupervisor,
    KillChild,
    Reply,
    Report,
    SetTimer,
    StartChild,
    StopChild,
)
from .events import (
    ChildCondemned,
    ChildExited,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    CountChildrenRequested,
    DeleteChildRequested,
    Event,
    RestartChildRequested,
    ShutdownRequested,
    StartChildRequested,
    SupervisorStarted,
    TerminateChildRequested,
    TimerFired,
    WhichChildrenRequested,
)
from .fingerprint import fingerprint
from .park import delay_until_resume
from .plan import Aim, Plan
from .restart_window import RestartWindow
from .verdict import RESTARTS, Verdict, has_rules_of_its_own, own_verdict


class Phase(StrEnum):
    """What the supervisor itself is doing."""

    NEW = "new"
    """SupervisorStarted has not come; requests wait."""
    STARTING = "starting"
    """Its first children start."""
    RUNNING = "running"
    SHUTTING_DOWN = "shutting_down"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class ChildView:
    """What a child looks like from outside; `waits_for` names the sibling whose backoff or park it shares."""

    id: str
    state: ChildState
    incarnation: int
    restarts: int
    detail: str
    waits_for: str | None


class _Do(StrEnum):
    """What is to be done about a child when its turn in the mailbox comes."""

    DECIDE = "decide"
    """It ended by itself."""
    TRY_AGAIN = "try_again"
    """Its start failed, and the restart has not been counted yet."""
    RESUME = "resume"
    """Its backoff or park is over."""
    RELEASE = "release"
    """It will not come back by itself: those that wait for it are started without it."""


class _Use(StrEnum):
    """What a timer is for."""

    KILL = "kill"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class _Timer:
    generation: int
    use: _Use
    child: str


_Request = StartChildRequested | TerminateChildRequested | RestartChildRequested | DeleteChildRequested


def middle(low: float, high: float) -> float:
    """The random number for those who want none."""
    return (low + high) / 2


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
        uniform: Uniform = middle,
    ) -> None:
        check_limits(flags, children)
        self.flags = flags
        self.phase = Phase.NEW
        self._uniform = uniform
        self._children: dict[str, Child] = {}  # in start order
        for spec in children:
            if spec.id in self._children:
                raise SpecError(f"{spec.id}: this id stands twice among the children")
            if problem := self._unfit(spec):
                raise SpecError(problem)
            incarnation, restarts = lives.get(spec.id, (0, 0))
            self._children[spec.id] = Child(spec, incarnation=incarnation, restarts=restarts)
        self._window = RestartWindow(flags.max_restarts, flags.within)
        self._now = -INFINITY
        self._plan: Plan | None = None
        self._mailbox: deque[_Request | tuple[_Do, str]] = deque()
        self._timers: dict[str, _Timer] = {}  # by name
        self._generation = 0
        self._last_words = Exit(ExitClass.SHUTDOWN, "shutdown requested")
        self._killing = False
        self._out: list[Command] = []

    # ---- what can be read ----------------------------------------------------------------------

    def children(self) -> list[ChildView]:
        """Every child in start order."""
        return [ChildView(c.spec.id, c.state, c.incarnation, c.restarts, c.detail, c.waits_for) for c in self._children.values()]

    @property
    def is_up(self) -> bool:
        """Whether all first starts are done (OTP: `start_link` has returned)."""
        return self.phase is Phase.RUNNING

    def knows(self, child_id: str) -> bool:
        """Whether there is a child of that id, running or not."""
        return child_id in self._children

    def spec(self, child_id: str) -> ChildSpec:
        """The spec of a child; KeyError if there is none."""
        return self._children[child_id].spec

    def restarts_in_window(self, now: float) -> int:
        """How many restarts count against the intensity at that time."""
        return self._window.count(now)

    # ---- events --------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Command]:
        """What is to be done about an event at `now`, seconds on a clock that should not go back (if it does, it stands still)."""
        self._now = max(self._now, now)
        _HANDLERS[type(event)](self, event)
        self._go_on()
        out, self._out = self._out, []
        return out

    def _supervisor_started(self, _event: SupervisorStarted) -> None:
        if self.phase is Phase.NEW:
            self.phase = Phase.STARTING
            self._plan = Plan(Aim.START_ALL, starts=deque(self._children))

    def _child_started(self, event: ChildStarted) -> None:
        child = self._named(event)
        if child is not None and child.state is ChildState.STARTING and child.alive:
            child.move(Step.STARTED)
            child.started_at = self._now
            child.detail = ""
            self._start_done(child)

    def _child_start_failed(self, event: ChildStartFailed) -> None:
        child = self._named(event)
        if child is not None and child.alive and child.started_at is None:
            self._ended(child, event.exit)

    def _child_ignored(self, event: ChildIgnored) -> None:
        child = self._named(event)
        if child is None or not child.alive or child.started_at is not None:
            return
        if child.state is ChildState.STOPPING:
            self._ended(child, Exit(ExitClass.SHUTDOWN, "ignored"))
            return
        child.move(Step.ENDED)
        child.detail = "its start was ignored"
        if child.spec.restart is RestartType.TEMPORARY:
            self._forget(child)
        self._start_done(child)

    def _child_exited(self, event: ChildExited) -> None:
        child = self._named(event)
        if child is not None and child.alive:
            self._ended(child, event.exit)

    def _child_condemned(self, event: ChildCondemned) -> None:
        child = self._named(event)
        if child is not None and child.alive and child.state is not ChildState.STOPPING:
            child.condemned = (event.exit_class, event.reason)
            self._stop(child)

    def _timer_fired(self, event: TimerFired) -> None:
        timer = self._timers.get(event.name)
        if timer is None or timer.generation != event.generation:
            return
        del self._timers[event.name]
        if timer.use is _Use.KILL:
            self._kill(self._children[timer.child])
        else:
            self._mailbox.append((_Do.RESUME, timer.child))

    def _shutdown_requested(self, _event: ShutdownRequested) -> None:
        if self.phase is Phase.SHUTTING_DOWN:
            self._killing = True
            for child in self._children.values():
                if child.alive and child.state is ChildState.STOPPING:
                    self._kill(child)
        elif self.phase is not Phase.EXITED:
            self._shut_down(self._last_words)

    def _which_children_requested(self, event: WhichChildrenRequested) -> None:
        self._reply(event.request, Answer.OK, self.children())

    def _count_children_requested(self, event: CountChildrenRequested) -> None:
        active = sum(child.alive for child in self._children.values())
        self._reply(event.request, Answer.OK, (len(self._children), active))

    def _request_came(self, event: _Request) -> None:
        if self.phase in (Phase.SHUTTING_DOWN, Phase.EXITED):
            self._too_late(event)
        else:
            self._mailbox.append(event)

    def _terminate_child_requested(self, event: TerminateChildRequested) -> None:
        child = self._children.get(event.id)
        if child is None or not (child.alive or child.state in WAITING):
            self._request_came(event)
        elif child.alive:
            if child.state is ChildState.STOPPING:
                self._stop_harder(child, event.graceful)
            plan = self._plan
            if plan is not None and plan.current == event.id and (not plan.stopping or plan.aim is Aim.STOP):
                # It starts, or is stopped by request. OTP would be blocked here; a person should not have to wait for that.
                child.terminations.append(event.request)
                if child.state is ChildState.STARTING:
                    self._stop(child, event.graceful)
            else:
                self._request_came(event)
        elif self._plan is not None and (event.id in self._plan.stops or event.id in self._plan.starts):
            self._request_came(event)
        else:
            self._terminate(event)

    # ---- the mailbox and the plan --------------------------------------------------------------

    def _go_on(self) -> None:
        """Do all that can be done without waiting for an event."""
        while self.phase is not Phase.EXITED:
            if self._plan is not None:
                if self._plan.current is not None:
                    return
                self._next_step(self._plan)
            elif self._mailbox and self.phase is not Phase.NEW:
                message = self._mailbox.popleft()
                if isinstance(message, tuple):
                    self._do(*message)
                else:
                    _SERVED[type(message)](self, message)
            else:
                return

    def _next_step(self, plan: Plan) -> None:
        plan.stopping = True
        while plan.stops:
            child = self._children.get(plan.stops.pop())
            if child is None:
                continue
            if child.alive:
                plan.current = child.spec.id
                child.condemned = None  # whatever it was condemned for, its end is now wanted
                if child.state is not ChildState.STOPPING:
                    self._stop(child, plan.graceful)
                return
            if child.unhandled:
                self._report(child, Decision.LEAVE, f"it ended by itself ({child.last_exit}) when it was about to be stopped")
                child.unhandled = False
                child.move(Step.ENDED)
                self._stopped(child, plan)
            elif child.state in RESTARTING and (child.state is not ChildState.PARKED or plan.aim is Aim.SHUT_DOWN):
                self._stop_waiting(child)
                self._stopped(child, plan)
        plan.stopping = False
        while plan.starts:
            child = self._children.get(plan.starts.popleft())
            if child is not None and self._may_start(child):
                if plan.counts and child.incarnation:
                    child.restarts += 1
                plan.current = child.spec.id
                self._start(child)
                return
        self._plan_done()
        if plan.aim is Aim.SHUT_DOWN:
            self._exit()

    def _may_start(self, child: Child) -> bool:
        if child.state is not ChildState.DOWN:
            return False
        leader = self._children.get(child.waits_for or "")
        return leader is None or leader.state is not ChildState.PARKED

    def _plan_done(self) -> None:
        self._plan = None
        if self.phase is Phase.STARTING:
            self.phase = Phase.RUNNING

    def _stopped(self, child: Child, plan: Plan) -> None:
        """A child that the plan wanted down is down."""
        by_request = bool(child.terminations)
        self._answer_terminations(child)
        if child.spec.restart is RestartType.TEMPORARY:
            self._forget(child)
        elif by_request:
            if child.parks:
                self._cancel_timer(_Use.RESUME, child)
        elif child.parks:
            child.move(Step.PARK)
        elif plan.leader is not None:
            child.waits_for = plan.leader
        child.parks = False

    def _ended(self, child: Child, exit_: Exit) -> None:
        """Nothing of an incarnation is left, whoever ended it."""
        self._cancel_timer(_Use.KILL, child)
        if child.condemned is not None:
            exit_class, reason = child.condemned
            exit_ = replace(exit_, exit_class=exit_class, reason=reason)
            child.condemned = None
        child.last_exit = exit_
        child.killed = False
        if child.started_at is not None and is_healthy(self._now - child.started_at, child.spec.backoff):
            child.fingerprint, child.alike = None, 0
            if child.spec.backoff is not None:
                child.in_a_row = 0
        plan = self._plan
        if plan is None or plan.current != child.spec.id:
            child.unhandled = True
            self._mailbox.append((_Do.DECIDE, child.spec.id))
            return
        child.move(Step.ENDED)
        if not plan.stopping:
            self._start_done(child, exit_)
            return
        plan.current = None
        self._stopped(child, plan)

    def _start_done(self, child: Child, exit_: Exit | None = None) -> None:
        """The start that the plan waits for has succeeded (or was ignored), or failed with that exit."""
        plan = self._plan
        if plan is None or plan.current != child.spec.id:
            return  # the supervisor shuts down, and will come to this child
        plan.current = None
        terminated = bool(child.terminations)
        self._answer_terminations(child)
        if plan.aim is Aim.START_ONE:
            if exit_ is None:
                self._reply(plan.request, Answer.OK)
            else:
                self._reply(plan.request, Answer.REFUSED, "it was terminated" if terminated else exit_.reason)
                child.detail = exit_.reason
                if plan.new:
                    self._forget(child)
        elif terminated:
            if child.spec.restart is RestartType.TEMPORARY:
                self._forget(child)
        elif exit_ is not None:
            self._start_failed(child, exit_, plan)

    def _start_failed(self, child: Child, exit_: Exit, plan: Plan) -> None:
        """A start that nobody asked for by request failed: the supervisor's own first start of it, or a restart."""
        if plan.aim is Aim.START_ALL and not has_rules_of_its_own(child):
            why = f"failed to start child {child.spec.id}: {exit_.reason}"
            self._report(child, Decision.ESCALATE, why)
            self._shut_down(Exit(ExitClass.FAILED, why, last_error=exit_.last_error))
            return
        verdict = self._own_verdict(child, exit_)
        if verdict is not None and verdict.decision is not Decision.PARK:
            self._set_down(child, verdict)
            return
        if self.flags.strategy is not Strategy.ONE_FOR_ONE:
            # As in OTP, the restart resumes at the failed child, and the rest with it.
            for child_id in plan.starts:
                if child_id in self._children:  # a temporary one that was stopped is not
                    self._children[child_id].waits_for = child.spec.id
            self._plan_done()
        if verdict is not None:
            self._park(child, exit_, verdict.why)
        else:
            child.move(Step.TRY_AGAIN)
            self._mailbox.append((_Do.TRY_AGAIN, child.spec.id))

    # ---- decisions -----------------------------------------------------------------------------

    def _do(self, what: "_Do", child_id: str) -> None:
        child = self._children.get(child_id)
        if what is _Do.RELEASE:
            waiting = deque(c.spec.id for c in self._children.values() if c.waits_for == child_id)
            self._plan = Plan(Aim.RESTART, starts=waiting, counts=True)
        elif child is None:
            pass
        elif what is _Do.DECIDE:
            if child.unhandled:
                child.unhandled = False
                child.move(Step.ENDED)
                self._decide(child)
        elif what is _Do.TRY_AGAIN:
            if child.state is ChildState.RESTARTING:
                child.move(Step.GIVE_UP)
                self._count_restart(child)
        elif child.state is ChildState.BACKING_OFF or child.state is ChildState.PARKED:
            counts = child.state is ChildState.BACKING_OFF
            child.move(Step.GIVE_UP)
            self._restart(child, counts)

    def _decide(self, child: Child) -> None:
        """A child ended by itself: what comes next."""
        exit_ = child.last_exit
        spec = child.spec
        if not RESTARTS[spec.restart, exit_.is_normal]:
            why = f"{_told(exit_)}: a {spec.restart} child is not restarted"
            if spec.restart is RestartType.TEMPORARY:
                self._forget(child)
            child.detail = exit_.reason
            if self._shuts_down(spec):
                self._report(child, Decision.AUTO_SHUTDOWN, f"{why}; it was significant")
                self._shut_down(Exit(ExitClass.SHUTDOWN, f"significant child {spec.id} ended"))
            else:
                self._report(child, Decision.LEAVE, why)
            return
        verdict = self._own_verdict(child, exit_)
        if verdict is None:
            self._count_restart(child)
        elif verdict.decision is Decision.PARK:
            self._park(child, exit_, verdict.why)
        else:
            self._set_down(child, verdict)

    def _shuts_down(self, spec: ChildSpec) -> bool:
        if not spec.significant:
            return False
        if self.flags.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT:
            return True
        others = (c for c in self._children.values() if c.spec.significant)
        return not any(c.state in ALIVE or c.state in RESTARTING for c in others)

    def _own_verdict(self, child: Child, exit_: Exit) -> Verdict | None:
        mark = fingerprint(exit_)
        child.alike = child.alike + 1 if mark is not None and mark == child.fingerprint else int(mark is not None)
        child.fingerprint = mark
        return own_verdict(child, exit_)

    def _count_restart(self, child: Child) -> None:
        """OTP's rule: a restart beyond the limit is not made."""
        exit_ = child.last_exit
        if child.spec.max_restarts is None:
            if self._window.left(self._now) <= 0:
                self._limit_reached(child, exit_)
                return
            self._window.add(self._now)
        child.in_a_row += 1
        delay = delay_before(child.in_a_row, child.spec.backoff, self._uniform)
        self._report(child, Decision.RESTART, _told(exit_), delay, self._range(child))
        if delay > 0:
            self._wait(child, Step.BACK_OFF, delay)
        else:
            self._restart(child, counts=True)

    def _limit_reached(self, child: Child, exit_: Exit) -> None:
        why = f"{_told(exit_)}: more than {self.flags.max_restarts} restarts within {self.flags.within:g} s"
        if self.flags.on_limit is OnLimit.QUARANTINE:
            self._set_down(child, Verdict(Decision.QUARANTINE, why))
        else:
            self._report(child, Decision.ESCALATE, why)
            self._shut_down(Exit(ExitClass.SHUTDOWN, f"reached maximum restart intensity: {child.spec.id}: {why}"))

    def _set_down(self, child: Child, verdict: Verdict) -> None:
        """Hold or quarantine: it waits for a person, and its siblings are left alone."""
        self._report(child, verdict.decision, verdict.why)
        child.move(Step.HOLD if verdict.decision is Decision.HOLD else Step.QUARANTINE)
        child.detail = verdict.why
        self._release(child)

    def _restart(self, child: Child, counts: bool) -> None:
        ids = self._range(child)
        self._plan = Plan(Aim.RESTART, stops=list(ids), starts=deque(ids), counts=counts)

    def _range(self, child: Child) -> tuple[str, ...]:
        """The ids that a restart of this child takes along, itself among them, in start order."""
        if self.flags.strategy is Strategy.ONE_FOR_ONE:
            return (child.spec.id,)
        ids = tuple(self._children)
        return ids if self.flags.strategy is Strategy.ONE_FOR_ALL else ids[ids.index(child.spec.id) :]

    def _wait(self, child: Child, step: Step, delay: float) -> None:
        """The child comes back after a delay, and so do those that its strategy takes along: one timer serves all."""
        child.move(step)
        self._set_timer(_Use.RESUME, child, delay)
        if self.flags.strategy is not Strategy.ONE_FOR_ONE:
            self._plan = Plan(Aim.STOP, stops=[i for i in self._range(child) if i != child.spec.id], leader=child.spec.id)

    def _park(self, child: Child, exit_: Exit, why: str) -> None:
        delay = delay_until_resume(exit_.retry_after, self._uniform)
        self._report(child, Decision.PARK, why, delay, self._range(child))
        self._wait(child, Step.PARK, delay)

    def _release(self, child: Child) -> None:
        """Whoever waits for this child need not wait any longer."""
        if self.flags.strategy is not Strategy.ONE_FOR_ONE:
            self._mailbox.append((_Do.RELEASE, child.spec.id))

    def _stop_waiting(self, child: Child) -> None:
        self._cancel_timer(_Use.RESUME, child)
        child.move(Step.GIVE_UP)

    def _shut_down(self, last_words: Exit) -> None:
        """Stop all children, last started first, and then exit."""
        self.phase = Phase.SHUTTING_DOWN
        self._last_words = last_words
        for name, timer in list(self._timers.items()):
            if timer.use is _Use.RESUME:
                del self._timers[name]
                self._out.append(CancelTimer(name))
        old = self._plan
        self._plan = Plan(Aim.SHUT_DOWN, stops=list(self._children))
        if old is not None and old.current is not None:
            if old.aim is Aim.START_ONE:
                self._reply(old.request, Answer.REFUSED, _TOO_LATE)
            if self._children[old.current].state is ChildState.STOPPING:
                self._plan.current, self._plan.stopping = old.current, True
        waiting, self._mailbox = self._mailbox, deque()
        for message in waiting:
            if not isinstance(message, tuple):
                self._too_late(message)

    def _exit(self) -> None:
        self.phase = Phase.EXITED
        self._out.append(ExitSupervisor(self._last_words))

    # ---- requests ------------------------------------------------------------------------------

    def _start_child(self, event: StartChildRequested) -> None:
        spec = event.spec
        child = self._children.get(spec.id)
        if child is not None:
            self._reply(event.request, Answer.ALREADY_STARTED if child.state in ALIVE else Answer.ALREADY_PRESENT)
        elif problem := self._unfit(spec):
            self._reply(event.request, Answer.REFUSED, problem)
        else:
            self._children[spec.id] = Child(spec, incarnation=event.last_incarnation, restarts=event.restarts)
            self._plan = Plan(Aim.START_ONE, starts=deque([spec.id]), request=event.request, new=True)

    def _terminate(self, event: TerminateChildRequested) -> None:
        child = self._children.get(event.id)
        if child is None:
            self._reply(event.request, Answer.NOT_FOUND)
        elif child.state in ALIVE:
            child.terminations.append(event.request)
            self._plan = Plan(Aim.STOP, stops=[event.id], graceful=event.graceful)
        else:
            child.waits_for = None
            if child.state in RESTARTING:
                if child.state is not ChildState.RESTARTING:
                    self._release(child)
                self._stop_waiting(child)
            self._reply(event.request, Answer.OK)

    def _restart_child(self, event: RestartChildRequested) -> None:
        child = self._children.get(event.id)
        if child is None or child.state in ALIVE or child.state in RESTARTING:
            self._reply(event.request, self._not_down(child))
            return
        if child.state is not ChildState.DOWN:
            child.move(Step.GIVE_UP)
        child.fingerprint, child.alike = None, 0
        child.waits_for = None
        self._plan = Plan(Aim.START_ONE, starts=deque([event.id]), request=event.request)

    def _delete_child(self, event: DeleteChildRequested) -> None:
        child = self._children.get(event.id)
        if child is None or child.state in ALIVE or child.state in RESTARTING:
            self._reply(event.request, self._not_down(child))
        else:
            self._forget(child)
            self._reply(event.request, Answer.OK)

    def _not_down(self, child: Child | None) -> Answer:
        if child is None:
            return Answer.NOT_FOUND
        return Answer.RUNNING if child.state in ALIVE else Answer.RESTARTING

    def _too_late(self, event: _Request) -> None:
        """The supervisor shuts down: only terminate_child can still be fulfilled."""
        if not isinstance(event, TerminateChildRequested):
            self._reply(event.request, Answer.REFUSED, _TOO_LATE)
            return
        child = self._children.get(event.id)
        if child is None:
            self._reply(event.request, Answer.NOT_FOUND)
        elif child.state in ALIVE:
            child.terminations.append(event.request)
        else:
            self._reply(event.request, Answer.OK)

    def _unfit(self, spec: ChildSpec) -> str | None:
        """Why a child cannot be under these flags, if it cannot."""
        if spec.significant and self.flags.auto_shutdown is AutoShutdown.NEVER:
            return f"{spec.id}: a significant child needs a supervisor with auto_shutdown"
        try:
            check_limits(self.flags, [spec])
        except SpecError as error:
            return str(error)
        return None

    # ---- commands ------------------------------------------------------------------------------

    def _named(self, event: ChildStarted | ChildStartFailed | ChildIgnored | ChildExited | ChildCondemned) -> Child | None:
        child = self._children.get(event.id)
        return child if child is not None and child.incarnation == event.incarnation else None

    def _start(self, child: Child) -> None:
        child.move(Step.START)
        child.incarnation += 1
        child.started_at = None
        child.waits_for = None
        child.detail = ""
        self._out.append(StartChild(child.spec, child.incarnation, child.restarts))

    def _stop(self, child: Child, graceful: bool = True) -> None:
        child.move(Step.STOP)
        shutdown = child.spec.shutdown
        if not graceful or self._killing or shutdown is BRUTAL_KILL:
            self._kill(child)
            return
        self._out.append(StopChild(child.spec.id, child.incarnation, shutdown))
        if shutdown != INFINITY:
            self._set_timer(_Use.KILL, child, shutdown)

    def _stop_harder(self, child: Child, graceful: bool) -> None:
        if graceful and not child.killed:
            self._out.append(StopChild(child.spec.id, child.incarnation, child.spec.shutdown))
        else:
            self._kill(child)

    def _kill(self, child: Child) -> None:
        child.killed = True
        self._cancel_timer(_Use.KILL, child)
        self._out.append(KillChild(child.spec.id, child.incarnation))

    def _forget(self, child: Child) -> None:
        del self._children[child.spec.id]

    def _answer_terminations(self, child: Child) -> None:
        for request in child.terminations:
            self._reply(request, Answer.OK)
        child.terminations.clear()

    def _reply(self, request: Hashable, answer: Answer, value: Any = None) -> None:
        self._out.append(Reply(request, answer, value))

    def _report(self, child: Child, decision: Decision, why: str, delay: float = 0.0, affected: tuple[str, ...] = ()) -> None:
        left = max(0, self._window.left(self._now))
        self._out.append(Report(child.spec.id, child.incarnation, decision, why, delay, affected, left))

    def _set_timer(self, use: _Use, child: Child, delay: float) -> None:
        self._generation += 1
        name = f"{use} {child.spec.id}"
        self._timers[name] = _Timer(self._generation, use, child.spec.id)
        self._out.append(SetTimer(name, self._generation, delay))

    def _cancel_timer(self, use: _Use, child: Child) -> None:
        name = f"{use} {child.spec.id}"
        if self._timers.pop(name, None) is not None:
            self._out.append(CancelTimer(name))


_TOO_LATE = "the supervisor is shutting down"


def _told(exit_: Exit) -> str:
    return f"{exit_.exit_class} ({exit_.reason})"


_HANDLERS: dict[type, Callable[[SupervisorCore, Any], None]] = {
    SupervisorStarted: SupervisorCore._supervisor_started,
    ChildStarted: SupervisorCore._child_started,
    ChildStartFailed: SupervisorCore._child_start_failed,
    ChildIgnored: SupervisorCore._child_ignored,
    ChildExited: SupervisorCore._child_exited,
    ChildCondemned: SupervisorCore._child_condemned,
    TimerFired: SupervisorCore._timer_fired,
    ShutdownRequested: SupervisorCore._shutdown_requested,
    StartChildRequested: SupervisorCore._request_came,
    TerminateChildRequested: SupervisorCore._terminate_child_requested,
    RestartChildRequested: SupervisorCore._request_came,
    DeleteChildRequested: SupervisorCore._request_came,
    WhichChildrenRequested: SupervisorCore._which_children_requested,
    CountChildrenRequested: SupervisorCore._count_children_requested,
}

_SERVED: dict[type, Callable[[SupervisorCore, Any], None]] = {
    StartChildRequested: SupervisorCore._start_child,
    TerminateChildRequested: SupervisorCore._terminate,
    RestartChildRequested: SupervisorCore._restart_child,
    DeleteChildRequested: SupervisorCore._delete_child,
}
