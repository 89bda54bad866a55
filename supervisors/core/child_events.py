"""What happens to children and their timers, as the core takes it in. An event that names an old incarnation changes nothing."""

from suptree.actors.exits import Exit, ExitClass

from ..decisions.child import Child, ChildState, Step
from ..decisions.core_events import ChildCondemned, ChildExited, ChildIgnored, ChildStarted, ChildStartFailed, ChildUnkillable, TimerFired
from ..decisions.timers import TimerUse
from ..spec.child_spec import RestartType
from .core_state import CoreState, Turn
from .plan_steps import child_ended, go_on_without, start_done


def child_started(state: CoreState, event: ChildStarted) -> None:
    """The start that was ordered has succeeded."""
    child = _named(state, event)
    if child is not None and child.alive and child.state is ChildState.STARTING:
        child.has_started(state.now)
        start_done(state, child)


def child_start_failed(state: CoreState, event: ChildStartFailed) -> None:
    """The start that was ordered has failed."""
    child = _named(state, event)
    if child is not None and child.alive and child.started_at is None:
        child_ended(state, child, event.exit)


def child_ignored(state: CoreState, event: ChildIgnored) -> None:
    """The start that was ordered was declined; the child is down, and its spec is kept unless it is temporary."""
    child = _named(state, event)
    if child is None or not child.alive or child.started_at is not None:
        return
    if child.state is ChildState.STOPPING:
        child_ended(state, child, Exit(ExitClass.SHUTDOWN, "its start was ignored"))
        return
    child.move(Step.ENDED)
    child.detail = "its start was ignored"
    if child.spec.restart is RestartType.TEMPORARY:
        state.forget(child)
    start_done(state, child)


def child_exited(state: CoreState, event: ChildExited) -> None:
    """The child has ended, by itself or as ordered."""
    child = _named(state, event)
    if child is not None and child.alive:
        child_ended(state, child, event.exit)


def child_condemned(state: CoreState, event: ChildCondemned) -> None:
    """The child must end for a recorded cause."""
    child = _named(state, event)
    if child is not None and child.alive and child.state is not ChildState.STOPPING:
        child.condemned = (event.exit_class, event.reason)
        state.commander.stop(child)


def child_unkillable(state: CoreState, event: ChildUnkillable) -> None:
    """The child does not die: what has no need of its end goes on."""
    child, plan = _named(state, event), state.plan
    if child is not None and child.alive:
        child.unkillable = True
        if plan is not None and plan.current == child.spec.id:
            go_on_without(state, child, plan)


def timer_fired(state: CoreState, event: TimerFired) -> None:
    """The time of a stop is over, or a wait: the latter waits for its turn."""
    timer = event.timer
    if not state.commander.timer_fired(timer, event.generation):
        return
    child = state.children[timer.child_id]
    if timer.use is TimerUse.KILL:
        state.commander.kill(child)
    else:
        child.until = None
        state.put((Turn.RESUME, timer.child_id))


_AboutChild = ChildStarted | ChildStartFailed | ChildIgnored | ChildExited | ChildCondemned | ChildUnkillable


def _named(state: CoreState, event: _AboutChild) -> Child | None:
    """The child that an event is about; None if it names an incarnation that is not the last."""
    child = state.children.get(event.id)
    return child if child is not None and child.incarnation == event.incarnation else None
