"""OTP's calls, served when nothing else is going on."""

from collections import deque

from suptree.actors.errors import SpecError

from ..decisions.child import ALIVE, RESTARTING, Child, ChildState, Step
from ..decisions.core_commands import Answer
from ..decisions.core_events import DeleteChildRequested, RestartChildRequested, StartChildRequested, TerminateChildRequested
from .execution import Execution
from .plan import Aim, Plan


def start_child(run: Execution, event: StartChildRequested) -> None:
    """Add a child and start it; if the start fails, nothing of it is kept."""
    spec = event.spec
    try:
        run.check(spec)
    except SpecError as error:
        run.orders.reply(event.request, Answer.REFUSED, str(error))
        return
    child = run.children.get(spec.id)
    if child is not None:
        run.orders.reply(event.request, Answer.ALREADY_STARTED if child.state in ALIVE else Answer.ALREADY_PRESENT)
        return
    last_incarnation = max(event.last_incarnation, run.last_incarnations.pop(spec.id, event.last_incarnation))
    run.children[spec.id] = Child(spec, incarnation=last_incarnation, restarts=event.restarts)
    run.plan = Plan(Aim.START_ONE, starts=deque([spec.id]), request=event.request, new=True)


def terminate_child(run: Execution, event: TerminateChildRequested) -> None:
    """Stop a child and keep its spec, unless it is temporary. One that waits for a timer waits no longer."""
    child = run.children.get(event.id)
    if child is None:
        run.orders.reply(event.request, Answer.NOT_FOUND)
    elif child.state in ALIVE:
        child.terminations.append(event.request)
        run.plan = Plan(Aim.STOP, stops=[event.id], graceful=event.graceful)
    else:
        child.waits_for = None
        if child.state is ChildState.RESTARTING:
            # As in OTP, those that were to be started after it stay down.
            run.orders.stop_waiting(child)
            run.abandon_followers(child)
        elif child.state in RESTARTING:
            run.orders.stop_waiting(child)
            run.release_followers(child)
        run.orders.reply(event.request, Answer.OK)


def restart_child(run: Execution, event: RestartChildRequested) -> None:
    """Start a child that is down, held or quarantined."""
    child = run.children.get(event.id)
    if child is None or child.state in ALIVE or child.state in RESTARTING:
        run.orders.reply(event.request, _why_not(child))
        return
    if child.state is not ChildState.DOWN:
        child.move(Step.GIVE_UP)
    child.waits_for = None
    child.fingerprint = None
    run.plan = Plan(Aim.START_ONE, starts=deque([event.id]), request=event.request)


def delete_child(run: Execution, event: DeleteChildRequested) -> None:
    """Delete the spec of a child that is down, held or quarantined."""
    child = run.children.get(event.id)
    if child is None or child.state in ALIVE or child.state in RESTARTING:
        run.orders.reply(event.request, _why_not(child))
    else:
        run.forget(child)
        run.orders.reply(event.request, Answer.OK)


def _why_not(child: Child | None) -> Answer:
    if child is None:
        return Answer.NOT_FOUND
    return Answer.RUNNING if child.state in ALIVE else Answer.RESTARTING
