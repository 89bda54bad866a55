"""The steps of a plan: its next stop or start is ordered, and the outcome leads to the step after that."""

from dataclasses import replace

from suptree.actors.exits import CauseId, Exit, ExitClass

from ..decisions.child import RESTARTING, Child, ChildState, Step
from ..decisions.core_commands import Answer, Decision
from ..decisions.judge import Outcome
from ..decisions.rules import has_rules_of_its_own
from ..decisions.timers import TimerUse
from ..spec.child_spec import RestartType
from .core_state import CoreState, Turn
from .outcomes import carry_out, release_followers
from .plan import Aim, Plan
from .quota_groups import GROUP_PARKED
from .shutdown import UNKILLABLE, exit_supervisor, shut_down


def next_step(state: CoreState, plan: Plan) -> None:
    """Order the next stop or start of the plan, or end it."""
    while plan.stops:
        _stop(state, plan, state.children.get(plan.stops.pop()))
        if plan.current is not None:
            return
    while plan.starts:
        child = state.children.get(plan.starts.popleft())
        if child is not None and child.spec.id in state.went_on:
            _start_later(state, child, plan)
        elif child is not None and _may_start(state, child):
            if plan.counts and child.incarnation:
                child.restarts += 1
            plan.wait_for_start(child.spec.id)
            state.commander.start(child)
            return
    state.end_plan()
    if plan.aim is Aim.SHUT_DOWN:
        exit_supervisor(state)


def _stop(state: CoreState, plan: Plan, child: Child | None) -> None:
    """Order the stop of this child, if it lives; None is temporary, and was forgotten when the plan before stopped it."""
    if child is None:
        return
    if child.alive:
        plan.wait_for_stop(child.spec.id)
        child.condemned = None  # whatever it was condemned for, its end is now wanted
        if child.state is not ChildState.STOPPING:
            state.commander.stop(child, plan.graceful)
        if child.unkillable:
            go_on_without(state, child, plan)
    elif child.unhandled:
        comes_back = plan.aim is Aim.RESTART and child.spec.restart is not RestartType.TEMPORARY
        why = f"{child.last_exit.summary}, when it was about to be stopped"
        state.report(child, Outcome(Decision.RESTART if comes_back else Decision.LEAVE, why), takes_along=False)
        child.unhandled = False
        child.move(Step.ENDED)
        _stopped(state, child, plan)
    elif child.state in RESTARTING and (child.state is not ChildState.PARKED or plan.aim is Aim.SHUT_DOWN):
        state.commander.stop_waiting(child)
        _stopped(state, child, plan)


def go_on_without(state: CoreState, child: Child, plan: Plan) -> None:
    """The child that the plan waits for does not die. Nothing else is to wait for it; what it is stopped for is done when it has died."""
    if plan.stopping:
        state.went_on[child.spec.id] = plan
    else:
        if plan.aim is Aim.START_ONE:
            state.commander.reply(plan.request, Answer.REFUSED, UNKILLABLE)
        if child.state is ChildState.STARTING:
            child.move(Step.STOP)
        if plan.aim is Aim.START_ONE or child.terminations:
            state.went_on[child.spec.id] = Plan(Aim.STOP, new=plan.new)
    plan.answered()


def _start_later(state: CoreState, child: Child, plan: Plan) -> None:
    """This child does not die: when it has died, it is started, and then the children after it in the plan."""
    state.went_on[child.spec.id] = plan
    for child_id in plan.starts:
        if child_id in state.children:
            state.children[child_id].waits_for = child.spec.id
    plan.starts.clear()


def _has_died_after_all(state: CoreState, child: Child, plan: Plan) -> None:
    """A child that did not die has: what the plan wanted that went on without it is done now."""
    child.move(Step.ENDED)
    by_request = bool(child.terminations)
    _stopped(state, child, plan)
    if plan.new:
        state.forget(child)
    elif plan.aim is Aim.RESTART and not by_request:
        child.waits_for = child.spec.id
    else:
        # It may be parked, and the park was over before its end was.
        state.put((Turn.RESUME, child.spec.id))
    release_followers(state, child)


def _may_start(state: CoreState, child: Child) -> bool:
    """Not while the child waits for a person or a quota, its own or that of the sibling that will take it along."""
    if child.state is not ChildState.DOWN:
        return False
    leader = state.children.get(child.waits_for or "")
    return leader is None or leader.state is not ChildState.PARKED or child.spec.id not in state.taken_along(leader)


def child_ended(state: CoreState, child: Child, exit_: Exit) -> None:
    """Nothing of an incarnation is left, whatever ended it."""
    state.commander.cancel_timer(TimerUse.KILL, child)
    child.end_incarnation(exit_, state.now)
    plan = state.plan
    if plan is None or plan.current != child.spec.id:
        if went_on := state.went_on.pop(child.spec.id, None):
            _has_died_after_all(state, child, went_on)
            return
        child.unhandled = True
        state.put((Turn.DECIDE, child.spec.id))
        if plan is not None and plan.current is not None and not plan.stopping:
            # It may take as long as the sibling's start does.
            child.detail = f"{child.last_exit.summary}: what comes next is decided when {plan.current} has started"
            state.report(child, Outcome(Decision.WAIT, child.detail))
        return
    child.move(Step.ENDED)
    if plan.stopping:
        plan.answered()
        _stopped(state, child, plan)
    else:
        start_done(state, child, child.last_exit)


def _stopped(state: CoreState, child: Child, plan: Plan) -> None:
    """A child that the plan wanted down is down."""
    child.detail = ""
    parks, child.parks = child.parks and plan.aim is Aim.STOP, False
    by_request = bool(child.terminations)
    state.commander.answer_terminations(child)
    if child.spec.restart is RestartType.TEMPORARY:
        state.forget(child)
    elif by_request:
        if parks:
            state.commander.cancel_resume(child)
            release_followers(state, child)
    elif parks:
        child.move(Step.PARK)
        child.detail = GROUP_PARKED
    elif plan.leader is not None:
        child.waits_for = plan.leader


def start_done(state: CoreState, child: Child, exit_: Exit | None = None) -> None:
    """The start that the plan waits for has succeeded (or was ignored), or failed with that exit."""
    plan = state.plan
    if plan is None or plan.current != child.spec.id:
        return  # the supervisor shuts down, and will come to this child
    plan.answered()
    terminated = bool(child.terminations)
    state.commander.answer_terminations(child)
    if exit_ is None:
        if plan.aim is Aim.START_ONE:
            state.commander.reply(plan.request, Answer.OK)
        return
    child.detail = exit_.summary
    if plan.aim is Aim.START_ONE:
        state.commander.reply(plan.request, Answer.REFUSED, "it was terminated" if terminated else exit_.summary)
        if plan.new:
            state.forget(child)
    elif not terminated:
        _start_failed(state, child, plan)
    elif child.spec.restart is RestartType.TEMPORARY:
        state.forget(child)


def _start_failed(state: CoreState, child: Child, plan: Plan) -> None:
    """A start that was not requested failed: the supervisor's first start of the child, or a restart."""
    if child.last_exit.cause is CauseId.TREE_TERMINATED:
        why = f"{child.last_exit.summary}: the tree is being stopped"
        state.report(child, Outcome(Decision.LEAVE, why))
        shut_down(state, replace(child.last_exit, reason=f"{child.spec.id}: {child.last_exit.reason}"))
        return
    if plan.aim is Aim.START_ALL and not has_rules_of_its_own(child.spec):
        why = f"failed to start child {child.spec.id}: {child.last_exit.summary}"
        state.report(child, Outcome(Decision.ESCALATE, why))
        shut_down(state, Exit(ExitClass.FAILED, why, last_error=child.last_exit.last_error, signal=child.last_exit.signal))
        return
    if child.spec.restart is RestartType.TEMPORARY:
        carry_out(state, child, Outcome(Decision.LEAVE, f"{child.last_exit.summary}: a temporary child is not restarted"))
        return
    outcome = state.judge.by_own_rules(child)
    if outcome is not None and outcome.decision is not Decision.PARK:
        carry_out(state, child, outcome)
        return
    if state.restarts_siblings:
        # As in OTP, the restart resumes at the child that failed, and the rest waits for it.
        for child_id in plan.starts:
            if child_id in state.children:
                state.children[child_id].waits_for = child.spec.id
        state.end_plan()
    if outcome is not None:
        carry_out(state, child, outcome)
    else:
        child.move(Step.TRY_AGAIN)
        state.put((Turn.TRY_AGAIN, child.spec.id))
