"""The end of the supervisor itself: what it was in the middle of is given up, and the requests that waited are answered."""

from suptree.actors.exits import Exit

from ..decisions.child import ALIVE, ChildState
from ..decisions.core_commands import Answer, ExitSupervisor
from ..decisions.core_events import QuotaGroupParked, ShutdownRequested, TerminateChildRequested
from .core_state import CoreState, OtpCall, Phase
from .plan import Aim, Plan

TOO_LATE = "the supervisor is shutting down"
UNKILLABLE = "processes of it got SIGKILL and do not die"


def shutdown_requested(state: CoreState, _event: ShutdownRequested) -> None:
    """Begin to shut down; when that has begun, kill what still stops."""
    if state.phase is Phase.SHUTTING_DOWN:
        state.commander.killing = True
        for child in state.children.values():
            if child.alive and child.state is ChildState.STOPPING:
                state.commander.kill(child)
    elif state.phase is not Phase.EXITED:
        shut_down(state, state.last_words)


def shut_down(state: CoreState, last_words: Exit) -> None:
    """Stop all children, last started first, and then exit."""
    state.last_words = last_words
    for child in state.children.values():
        state.commander.cancel_resume(child)
    given_up, plan = state.plan, Plan(Aim.SHUT_DOWN, stops=list(state.children))
    if given_up is not None and given_up.current is not None:
        if given_up.aim is Aim.START_ONE:
            state.commander.reply(given_up.request, Answer.REFUSED, TOO_LATE)
        if state.children[given_up.current].state is ChildState.STOPPING:
            plan.wait_for_stop(given_up.current)
    state.begin(plan)
    for message in state.empty_mailbox():
        if not isinstance(message, tuple | QuotaGroupParked):
            too_late(state, message)


def too_late(state: CoreState, call: OtpCall) -> None:
    """Answer a call that came when the supervisor shuts down: only terminate_child can still be fulfilled."""
    if not isinstance(call, TerminateChildRequested):
        state.commander.reply(call.request, Answer.REFUSED, TOO_LATE)
        return
    child = state.children.get(call.id)
    if child is None:
        state.commander.reply(call.request, Answer.NOT_FOUND)
    elif child.state in ALIVE and state.phase is Phase.EXITED:
        state.commander.reply(call.request, Answer.REFUSED, UNKILLABLE)
    elif child.state in ALIVE:
        child.terminations.append(call.request)
    else:
        state.commander.reply(call.request, Answer.OK)


def exit_supervisor(state: CoreState) -> None:
    """All children are down, except those that do not die: no request is to wait for these."""
    for child_id in state.went_on:
        requests, state.children[child_id].terminations = state.children[child_id].terminations, []
        for request in requests:
            state.commander.reply(request, Answer.REFUSED, UNKILLABLE)
    state.phase = Phase.EXITED
    state.commander.add(ExitSupervisor(state.last_words))
