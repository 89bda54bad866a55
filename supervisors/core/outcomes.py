"""Decisions about a child that is down, carried out; and its turns in the mailbox, in which most of them are taken."""

from collections import deque

from suptree.actors.exits import Exit, ExitClass

from ..decisions.child import Child, ChildState, Step
from ..decisions.core_commands import Decision, ParkQuotaGroup
from ..decisions.core_events import QuotaGroupParked
from ..decisions.judge import Outcome
from ..spec.child_spec import RestartType
from .core_state import CoreState, Turn
from .plan import Aim, Plan
from .shutdown import shut_down

# ---- turns in the mailbox ------------------------------------------------------------------------


def decide(state: CoreState, child_id: str) -> None:
    """A child ended by itself, unless the plan before has dealt with that."""
    child = state.children.get(child_id)
    if child is not None and child.unhandled:
        child.unhandled = False
        child.move(Step.ENDED)
        child.detail = child.last_exit.summary
        carry_out(state, child, state.judge.after_exit(child, state.children.values(), state.now))


def try_again(state: CoreState, child_id: str) -> None:
    """A start failed; what was requested meanwhile has been served."""
    child = state.children.get(child_id)
    if child is not None and child.state is ChildState.RESTARTING:
        child.move(Step.GIVE_UP)
        carry_out(state, child, state.judge.count_restart(child, state.now))


def resume(state: CoreState, child_id: str) -> None:
    """The timer of a child has fired; `until` is set again if there is a new one already."""
    child = state.children.get(child_id)
    if child is not None and child.until is None and child.state in (ChildState.BACKING_OFF, ChildState.PARKED):
        # A park costs no restart.
        counts = child.state is ChildState.BACKING_OFF
        child.move(Step.GIVE_UP)
        _restart(state, child, counts)


def release(state: CoreState, child_id: str) -> None:
    """Start those that waited for a child which will not come back by itself."""
    waiting = deque(c.spec.id for c in state.children.values() if c.waits_for == child_id)
    state.begin(Plan(Aim.RESTART, starts=waiting, counts=True))


# ---- decisions carried out -----------------------------------------------------------------------


def carry_out(state: CoreState, child: Child, outcome: Outcome) -> None:
    """Report what was decided about a child that is down, and do it."""
    state.report(child, outcome)
    match outcome.decision:
        case Decision.RESTART:
            if outcome.delay:
                wait(state, child, Step.BACK_OFF, outcome)
            else:
                _restart(state, child, counts=True)
        case Decision.PARK:
            wait(state, child, Step.PARK, outcome)
            group = child.spec.quota_group
            if group is not None:
                retry_after = child.last_exit.retry_after
                state.commander.add(ParkQuotaGroup(group, retry_after))
                state.put(QuotaGroupParked(group, retry_after))
        case Decision.HOLD | Decision.QUARANTINE:
            child.move(Step.HOLD if outcome.decision is Decision.HOLD else Step.QUARANTINE)
            child.detail = outcome.why
            release_followers(state, child)
        case Decision.LEAVE:
            if child.spec.restart is RestartType.TEMPORARY:
                state.forget(child)
        case Decision.AUTO_SHUTDOWN:
            shut_down(state, Exit(ExitClass.SHUTDOWN, f"significant child {child.spec.id} ended"))
        case _:  # ESCALATE
            shut_down(state, Exit(ExitClass.SHUTDOWN, f"reached maximum restart intensity: {child.spec.id}: {outcome.why}"))


def _restart(state: CoreState, child: Child, counts: bool) -> None:
    """Stop those that the strategy takes along, and start them all."""
    ids = state.taken_along(child)
    state.begin(Plan(Aim.RESTART, stops=list(ids), starts=deque(ids), counts=counts))


def wait(state: CoreState, child: Child, step: Step, outcome: Outcome) -> None:
    """The child comes back later, and so do those that its strategy takes along: one timer serves all."""
    child.move(step)
    child.detail = outcome.why
    state.commander.set_resume(child, outcome.delay, state.now)
    if state.restarts_siblings:
        stops = [child_id for child_id in state.taken_along(child) if child_id != child.spec.id]
        state.begin(Plan(Aim.STOP, stops=stops, leader=child.spec.id))


# ---- those that wait for a sibling ---------------------------------------------------------------


def abandon_followers(state: CoreState, leader: Child) -> None:
    """The children that wait for this one stay down."""
    for child in state.children.values() if state.restarts_siblings else ():
        if child.waits_for == leader.spec.id:
            child.waits_for = None


def release_followers(state: CoreState, leader: Child) -> None:
    """This child will not come back by itself: the children that wait for it are started without it."""
    if state.restarts_siblings:
        state.put((Turn.RELEASE, leader.spec.id))
