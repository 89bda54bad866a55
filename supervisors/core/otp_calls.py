"""OTP's calls: as they come, and as they are served when nothing else is going on."""

from collections import deque

from suptree.actors.errors import SpecError

from ..decisions.child import ALIVE, RESTARTING, WAITING, Child, ChildState, Step
from ..decisions.core_commands import Answer
from ..decisions.core_events import (
    CountChildrenRequested,
    DeleteChildRequested,
    RestartChildRequested,
    StartChildRequested,
    TerminateChildRequested,
    WhichChildrenRequested,
)
from .core_state import CoreState, OtpCall, Phase
from .outcomes import abandon_followers, release_followers
from .plan import Aim, Plan
from .shutdown import too_late

# ---- as they come --------------------------------------------------------------------------------


def call_came(state: CoreState, call: OtpCall) -> None:
    """A call waits for its turn."""
    if state.phase in (Phase.SHUTTING_DOWN, Phase.EXITED):
        too_late(state, call)
    else:
        state.put(call)


def terminate_child_came(state: CoreState, event: TerminateChildRequested) -> None:
    """What a person should not have to wait for is done immediately: OTP's supervisor would be blocked, or does not know the state."""
    child = state.children.get(event.id)
    plan = state.plan
    if child is None:
        call_came(state, event)
    elif child.alive and state.phase is not Phase.EXITED:
        if child.state is ChildState.STOPPING:
            state.commander.stop_harder(child, event.graceful)
        elif state.starts(child):
            state.commander.stop(child, event.graceful)
        if state.starts(child) or (plan is not None and plan.current == event.id and plan.aim is Aim.STOP):
            child.terminations.append(event.request)
        else:
            call_came(state, event)
    elif child.state in WAITING and (plan is None or not plan.names(event.id)):
        terminate_child(state, event)
    else:
        call_came(state, event)


def which_children(state: CoreState, event: WhichChildrenRequested) -> None:
    """Answered immediately, in start order."""
    state.commander.reply(event.request, Answer.OK, [child.view() for child in state.children.values()])


def count_children(state: CoreState, event: CountChildrenRequested) -> None:
    """Answered immediately: how many specs there are, and how many children live."""
    active = sum(child.alive for child in state.children.values())
    state.commander.reply(event.request, Answer.OK, (len(state.children), active))


# ---- as they are served --------------------------------------------------------------------------


def start_child(state: CoreState, event: StartChildRequested) -> None:
    """Add a child and start it; if the start fails, nothing of it is kept."""
    spec = event.spec
    try:
        state.check(spec)
    except SpecError as error:
        state.commander.reply(event.request, Answer.REFUSED, str(error))
        return
    child = state.children.get(spec.id)
    if child is not None:
        state.commander.reply(event.request, Answer.ALREADY_STARTED if child.state in ALIVE else Answer.ALREADY_PRESENT)
        return
    state.add(spec, event.last_incarnation, event.restarts)
    state.begin(Plan(Aim.START_ONE, starts=deque([spec.id]), request=event.request, new=True))


def terminate_child(state: CoreState, event: TerminateChildRequested) -> None:
    """Stop a child and keep its spec, unless it is temporary. One that waits for a timer waits no longer."""
    child = state.children.get(event.id)
    if child is None:
        state.commander.reply(event.request, Answer.NOT_FOUND)
    elif child.state in ALIVE:
        child.terminations.append(event.request)
        state.begin(Plan(Aim.STOP, stops=[event.id], graceful=event.graceful))
    else:
        child.waits_for = None
        if child.state is ChildState.RESTARTING:
            # As in OTP, those that were to be started after it stay down.
            state.commander.stop_waiting(child)
            abandon_followers(state, child)
        elif child.state in RESTARTING:
            state.commander.stop_waiting(child)
            release_followers(state, child)
        state.commander.reply(event.request, Answer.OK)


def restart_child(state: CoreState, event: RestartChildRequested) -> None:
    """Start a child that is down, held or quarantined, or that waits for a timer: then it is started before its time.

    OTP knows no such waits; systemd's `start` of a unit that waits for its restart is the model. Those that wait for the child follow it.
    """
    child = state.children.get(event.id)
    if child is None or child.state in ALIVE or child.state is ChildState.RESTARTING:
        state.commander.reply(event.request, _why_not(child))
        return
    if child.state in RESTARTING:
        state.commander.stop_waiting(child)
        release_followers(state, child)
    elif child.state is not ChildState.DOWN:
        child.move(Step.GIVE_UP)
    child.waits_for = None
    child.fingerprint = None
    state.begin(Plan(Aim.START_ONE, starts=deque([event.id]), request=event.request))


def delete_child(state: CoreState, event: DeleteChildRequested) -> None:
    """Delete the spec of a child that is down, held or quarantined."""
    child = state.children.get(event.id)
    if child is None or child.state in ALIVE or child.state in RESTARTING:
        state.commander.reply(event.request, _why_not(child))
    else:
        state.forget(child)
        state.commander.reply(event.request, Answer.OK)


def _why_not(child: Child | None) -> Answer:
    if child is None:
        return Answer.NOT_FOUND
    return Answer.RUNNING if child.state in ALIVE else Answer.RESTARTING
