"""Carries out what was decided, and knows what comes of it: the plan, the mailbox, and the children's states.

OTP's supervisor blocks while it stops and starts children, and what arrives meanwhile waits in its mailbox. The core cannot block, so it
has a plan that each event moves on, and a mailbox of its own for what would wait in OTP's.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from suptree.actors.errors import SpecError
from suptree.actors.exits import Exit, ExitClass

from ..decisions.backoff import Uniform, check_limits, is_healthy
from ..decisions.child import ALIVE, RESTARTING, Child, ChildState, Step
from ..decisions.core_commands import Answer, Decision, ExitSupervisor, ParkQuotaGroup, Report
from ..decisions.core_events import (
    DeleteChildRequested,
    QuotaGroupParked,
    RestartChildRequested,
    StartChildRequested,
    TerminateChildRequested,
)
from ..decisions.judge import Judge, Outcome
from ..decisions.park import wait_for_quota
from ..decisions.rules import has_rules_of_its_own
from ..decisions.spread import EvenSpread
from ..decisions.timers import TimerUse
from ..spec.child_spec import AutoShutdown, ChildSpec, RestartType, Strategy, SupervisorFlags
from .orders import Orders
from .plan import Aim, Plan


class Phase(Enum):
    """What the supervisor itself is doing."""

    NEW = "new"
    """SupervisorStarted has not come; requests wait."""
    STARTING = "starting"
    """Its first children start."""
    RUNNING = "running"
    SHUTTING_DOWN = "shutting_down"
    EXITED = "exited"


class Turn(Enum):
    """What is to be done about a child when its turn in the mailbox comes."""

    DECIDE = "decide"
    """It ended by itself."""
    TRY_AGAIN = "try_again"
    """Its start failed, and the restart has not been counted yet."""
    RESUME = "resume"
    """Its backoff or park is over."""
    RELEASE = "release"
    """It will not come back by itself: those that wait for it are started without it."""


Request = StartChildRequested | TerminateChildRequested | RestartChildRequested | DeleteChildRequested
Message = Request | QuotaGroupParked | tuple[Turn, str]
TOO_LATE = "the supervisor is shutting down"
_GROUP_PARKED = "its quota group is parked"


class Execution:
    """The children of one supervisor, what it is in the middle of, and what waits for that to end."""

    def __init__(self, flags: SupervisorFlags, children: Sequence[ChildSpec], uniform: Uniform | None) -> None:
        self.flags = flags
        self.phase = Phase.NEW
        self.now = float("-inf")
        self.children: dict[str, Child] = {}  # in start order
        self.last_incarnations: dict[str, int] = {}  # of ids that are gone
        self.judge = Judge(flags, uniform or EvenSpread())
        self.orders = Orders()
        self.plan: Plan | None = None
        self.mailbox: deque[Message] = deque()
        self.last_words = Exit(ExitClass.SHUTDOWN, "shutdown requested")
        for spec in children:
            if spec.id in self.children:
                raise SpecError(f"{spec.id}: this id stands twice among the children")
            self.check(spec)
            self.children[spec.id] = Child(spec)

    def check(self, spec: ChildSpec) -> None:
        """Raise SpecError if such a child can never work under these flags."""
        if spec.significant and self.flags.auto_shutdown is AutoShutdown.NEVER:
            raise SpecError(f"{spec.id}: a significant child needs a supervisor with auto_shutdown")
        check_limits(self.flags, [spec])

    # ---- the plan ------------------------------------------------------------------------------

    def starts(self, child: Child) -> bool:
        """Whether the plan waits for the start of this child."""
        return self.plan is not None and self.plan.current == child.spec.id and not self.plan.stopping

    def next_step(self, plan: Plan) -> None:
        """Order the next stop or start of the plan, or end it."""
        plan.stopping = True
        while plan.stops:
            child = self.children.get(plan.stops.pop())
            if child is None:
                continue  # temporary, and forgotten when it was stopped for the plan before
            if child.alive:
                plan.current = child.spec.id
                child.condemned = None  # whatever it was condemned for, its end is now wanted
                if child.state is not ChildState.STOPPING:
                    self.orders.stop(child, plan.graceful)
                return
            if child.unhandled:
                comes_back = plan.aim is Aim.RESTART and child.spec.restart is not RestartType.TEMPORARY
                why = f"{child.last_exit.told}, when it was about to be stopped"
                self.report(child, Outcome(Decision.RESTART if comes_back else Decision.LEAVE, why), takes_along=False)
                child.unhandled = False
                child.move(Step.ENDED)
                self.stopped(child, plan)
            elif child.state in RESTARTING and (child.state is not ChildState.PARKED or plan.aim is Aim.SHUT_DOWN):
                self.orders.stop_waiting(child)
                self.stopped(child, plan)
        plan.stopping = False
        while plan.starts:
            child = self.children.get(plan.starts.popleft())
            if child is not None and self._may_start(child):
                if plan.counts and child.incarnation:
                    child.restarts += 1
                plan.current = child.spec.id
                self.orders.start(child)
                return
        self.plan_done()
        if plan.aim is Aim.SHUT_DOWN:
            self.phase = Phase.EXITED
            self.orders.add(ExitSupervisor(self.last_words))

    def _may_start(self, child: Child) -> bool:
        """Not while it waits for a person or a quota, its own or that of the sibling that will take it along."""
        if child.state is not ChildState.DOWN:
            return False
        leader = self.children.get(child.waits_for or "")
        return leader is None or leader.state is not ChildState.PARKED or child.spec.id not in self.range(leader)

    def plan_done(self) -> None:
        """Nothing more is to be done for the plan."""
        self.plan = None
        if self.phase is Phase.STARTING:
            self.phase = Phase.RUNNING

    def ended(self, child: Child, exit_: Exit) -> None:
        """Nothing of an incarnation is left, whoever ended it."""
        self.orders.cancel_timer(TimerUse.KILL, child)
        if child.condemned is not None:
            exit_class, reason = child.condemned
            exit_ = replace(exit_, exit_class=exit_class, reason=reason)
            child.condemned = None
        child.last_exit = exit_
        child.killed = False
        if child.started_at is not None and is_healthy(self.now - child.started_at, child.spec.backoff):
            child.fingerprint = None
            if child.spec.backoff is not None:
                child.in_a_row = 0
        plan = self.plan
        if plan is None or plan.current != child.spec.id:
            child.unhandled = True
            self.mailbox.append((Turn.DECIDE, child.spec.id))
            return
        child.move(Step.ENDED)
        if plan.stopping:
            plan.current = None
            self.stopped(child, plan)
        else:
            self.start_done(child, exit_)

    def stopped(self, child: Child, plan: Plan) -> None:
        """A child that the plan wanted down is down."""
        child.detail = ""
        parks, child.parks = child.parks and plan.aim is Aim.STOP, False
        by_request = bool(child.terminations)
        self.orders.answer_terminations(child)
        if child.spec.restart is RestartType.TEMPORARY:
            self.forget(child)
        elif by_request:
            if parks:
                self.orders.cancel_resume(child)
                self.release_followers(child)
        elif parks:
            child.move(Step.PARK)
            child.detail = _GROUP_PARKED
        elif plan.leader is not None:
            child.waits_for = plan.leader

    def start_done(self, child: Child, exit_: Exit | None = None) -> None:
        """The start that the plan waits for has succeeded (or was ignored), or failed with that exit."""
        plan = self.plan
        if plan is None or plan.current != child.spec.id:
            return  # the supervisor shuts down, and will come to this child
        plan.current = None
        terminated = bool(child.terminations)
        self.orders.answer_terminations(child)
        if exit_ is None:
            if plan.aim is Aim.START_ONE:
                self.orders.reply(plan.request, Answer.OK)
            return
        child.detail = exit_.told
        if plan.aim is Aim.START_ONE:
            self.orders.reply(plan.request, Answer.REFUSED, "it was terminated" if terminated else exit_.told)
            if plan.new:
                self.forget(child)
        elif not terminated:
            self._start_failed(child, plan)
        elif child.spec.restart is RestartType.TEMPORARY:
            self.forget(child)

    def _start_failed(self, child: Child, plan: Plan) -> None:
        """A start that nobody requested failed: the supervisor's first start of the child, or a restart."""
        if plan.aim is Aim.START_ALL and not has_rules_of_its_own(child):
            why = f"failed to start child {child.spec.id}: {child.last_exit.told}"
            self.report(child, Outcome(Decision.ESCALATE, why))
            self.shut_down(Exit(ExitClass.FAILED, why, last_error=child.last_exit.last_error))
            return
        if child.spec.restart is RestartType.TEMPORARY:
            self.carry_out(child, Outcome(Decision.LEAVE, f"{child.last_exit.told}: a temporary child is not restarted"))
            return
        outcome = self.judge.by_own_rules(child)
        if outcome is not None and outcome.decision is not Decision.PARK:
            self.carry_out(child, outcome)
            return
        if self.flags.strategy is not Strategy.ONE_FOR_ONE:
            # As in OTP, the restart resumes at the child that failed, and the rest waits for it.
            for child_id in plan.starts:
                if child_id in self.children:
                    self.children[child_id].waits_for = child.spec.id
            self.plan_done()
        if outcome is not None:
            self.carry_out(child, outcome)
        else:
            child.move(Step.TRY_AGAIN)
            self.mailbox.append((Turn.TRY_AGAIN, child.spec.id))

    # ---- what the mailbox holds about children -------------------------------------------------

    def decide(self, child_id: str) -> None:
        """A child ended by itself, unless the plan before has dealt with that."""
        child = self.children.get(child_id)
        if child is not None and child.unhandled:
            child.unhandled = False
            child.move(Step.ENDED)
            child.detail = child.last_exit.told
            self.carry_out(child, self.judge.after_exit(child, self.children.values(), self.now))

    def try_again(self, child_id: str) -> None:
        """A start failed; what was requested meanwhile has been served."""
        child = self.children.get(child_id)
        if child is not None and child.state is ChildState.RESTARTING:
            child.move(Step.GIVE_UP)
            self.carry_out(child, self.judge.count_restart(child, self.now))

    def resume(self, child_id: str) -> None:
        """The timer of a child has fired; `until` is set again if there is a new one already."""
        child = self.children.get(child_id)
        if child is not None and child.until is None and child.state in (ChildState.BACKING_OFF, ChildState.PARKED):
            # A park costs no restart.
            counts = child.state is ChildState.BACKING_OFF
            child.move(Step.GIVE_UP)
            self.restart(child, counts)

    def release(self, child_id: str) -> None:
        """Start those that waited for a child which will not come back by itself."""
        waiting = deque(c.spec.id for c in self.children.values() if c.waits_for == child_id)
        self.plan = Plan(Aim.RESTART, starts=waiting, counts=True)

    def park_quota_group(self, event: QuotaGroupParked) -> None:
        """Whoever shares the quota waits as well: those that run are stopped for it, those that wait already wait at least as long."""
        wait = wait_for_quota(event.retry_after)
        members = [c for c in self.children.values() if c.spec.quota_group == event.quota_group and self._can_park(c)]
        if self.flags.strategy is not Strategy.ONE_FOR_ONE:
            # The first takes all the others along that come after it; in a group one timer serves all.
            members = members[:1]
        stops: list[str] = []
        for child in members:
            if child.state is ChildState.PARKED and child.until is not None and child.until >= self.now + wait:
                continue
            outcome = Outcome(Decision.PARK, _GROUP_PARKED, self.judge.park_delay(event.retry_after))
            self.report(child, outcome)
            if child.state in ALIVE:
                child.parks = True
                self.orders.set_resume(child, outcome.delay, self.now)
                stops += self.range(child)
            else:
                self.orders.stop_waiting(child)
                self._wait(child, Step.PARK, outcome)
        if stops:
            self.plan = Plan(Aim.STOP, stops=stops, leader=members[0].spec.id)

    def _can_park(self, child: Child) -> bool:
        """Not one that is down to stay, nor one that would not be started again."""
        return child.spec.restart is not RestartType.TEMPORARY and (child.state in ALIVE or child.state in RESTARTING)

    # ---- decisions carried out -----------------------------------------------------------------

    def carry_out(self, child: Child, outcome: Outcome) -> None:
        """Do what was decided about a child that is down."""
        self.report(child, outcome)
        match outcome.decision:
            case Decision.RESTART:
                if outcome.delay:
                    self._wait(child, Step.BACK_OFF, outcome)
                else:
                    self.restart(child, counts=True)
            case Decision.PARK:
                self._wait(child, Step.PARK, outcome)
                group = child.spec.quota_group
                if group is not None:
                    retry_after = child.last_exit.retry_after
                    self.orders.add(ParkQuotaGroup(group, retry_after))
                    self.mailbox.append(QuotaGroupParked(group, retry_after))
            case Decision.HOLD | Decision.QUARANTINE:
                child.move(Step.HOLD if outcome.decision is Decision.HOLD else Step.QUARANTINE)
                child.detail = outcome.why
                self.release_followers(child)
            case Decision.LEAVE:
                if child.spec.restart is RestartType.TEMPORARY:
                    self.forget(child)
            case Decision.AUTO_SHUTDOWN:
                self.shut_down(Exit(ExitClass.SHUTDOWN, f"significant child {child.spec.id} ended"))
            case _:  # ESCALATE
                self.shut_down(Exit(ExitClass.SHUTDOWN, f"reached maximum restart intensity: {child.spec.id}: {outcome.why}"))

    def restart(self, child: Child, counts: bool) -> None:
        """Stop those that the strategy takes along, and start them all."""
        ids = self.range(child)
        self.plan = Plan(Aim.RESTART, stops=list(ids), starts=deque(ids), counts=counts)

    def range(self, child: Child) -> tuple[str, ...]:
        """The ids that a restart of this child takes along, itself among them, in start order."""
        if self.flags.strategy is Strategy.ONE_FOR_ONE:
            return (child.spec.id,)
        if self.flags.strategy is Strategy.ONE_FOR_ALL:
            return tuple(self.children)
        ids = tuple(self.children)
        return ids[ids.index(child.spec.id) :]

    def _wait(self, child: Child, step: Step, outcome: Outcome) -> None:
        """The child comes back later, and so do those that its strategy takes along: one timer serves all."""
        child.move(step)
        child.detail = outcome.why
        self.orders.set_resume(child, outcome.delay, self.now)
        if self.flags.strategy is not Strategy.ONE_FOR_ONE:
            self.plan = Plan(Aim.STOP, stops=[i for i in self.range(child) if i != child.spec.id], leader=child.spec.id)

    def abandon_followers(self, leader: Child) -> None:
        """Whoever waits for it stays down."""
        for child in self.children.values() if self.flags.strategy is not Strategy.ONE_FOR_ONE else ():
            if child.waits_for == leader.spec.id:
                child.waits_for = None

    def release_followers(self, leader: Child) -> None:
        """It will not come back by itself: whoever waits for it is started without it."""
        if self.flags.strategy is not Strategy.ONE_FOR_ONE:
            self.mailbox.append((Turn.RELEASE, leader.spec.id))

    def shut_down(self, last_words: Exit) -> None:
        """Stop all children, last started first, and then exit."""
        self.phase = Phase.SHUTTING_DOWN
        self.last_words = last_words
        for child in self.children.values():
            self.orders.cancel_resume(child)
        old, self.plan = self.plan, Plan(Aim.SHUT_DOWN, stops=list(self.children))
        if old is not None and old.current is not None:
            if old.aim is Aim.START_ONE:
                self.orders.reply(old.request, Answer.REFUSED, TOO_LATE)
            if self.children[old.current].state is ChildState.STOPPING:
                self.plan.current, self.plan.stopping = old.current, True
        waiting, self.mailbox = self.mailbox, deque()
        for message in waiting:
            if not isinstance(message, tuple | QuotaGroupParked):
                self.too_late(message)

    def too_late(self, request: Request) -> None:
        """Answer a request that came when the supervisor shuts down: only terminate_child can still be fulfilled."""
        if not isinstance(request, TerminateChildRequested):
            self.orders.reply(request.request, Answer.REFUSED, TOO_LATE)
            return
        child = self.children.get(request.id)
        if child is None:
            self.orders.reply(request.request, Answer.NOT_FOUND)
        elif child.state in ALIVE:
            child.terminations.append(request.request)
        else:
            self.orders.reply(request.request, Answer.OK)

    def forget(self, child: Child) -> None:
        """Delete its spec, and remember only how often it lived: an id that comes back goes on counting."""
        self.last_incarnations[child.spec.id] = child.incarnation
        del self.children[child.spec.id]

    def report(self, child: Child, outcome: Outcome, takes_along: bool = True) -> None:
        """Say what was decided, and why, and who is taken along; one that is itself taken along takes nobody."""
        left = self.judge.restarts_left(child, self.now)
        affected: tuple[str, ...] = ()
        if takes_along and outcome.decision in (Decision.RESTART, Decision.PARK):
            affected = self.range(child)
        self.orders.add(Report(child.spec.id, child.incarnation, outcome.decision, outcome.why, outcome.delay, affected, left))
