"""The children of one quota group wait together."""

from ..decisions.child import ALIVE, RESTARTING, Child, ChildState, Step
from ..decisions.core_commands import Decision
from ..decisions.core_events import QuotaGroupParked
from ..decisions.judge import Outcome
from ..decisions.park import wait_for_quota
from ..spec.child_spec import RestartType
from .core_state import CoreState, Phase
from .outcomes import wait
from .plan import Aim, Plan

GROUP_PARKED = "its quota group is parked"


def quota_group_parked(state: CoreState, event: QuotaGroupParked) -> None:
    """It waits for its turn, unless the supervisor has nobody to park."""
    if state.phase in (Phase.STARTING, Phase.RUNNING):
        state.put(event)


def park_quota_group(state: CoreState, event: QuotaGroupParked) -> None:
    """All children that share the quota wait: a child that runs is stopped, and one that waits already waits at least as long."""
    seconds = wait_for_quota(event.retry_after)
    members = [c for c in state.children.values() if c.spec.quota_group == event.quota_group and _can_park(c)]
    if state.restarts_siblings:
        # The first takes all the others along that come after it; in a group one timer serves all.
        members = members[:1]
    stops: list[str] = []
    for child in members:
        if child.state is ChildState.PARKED and child.until is not None and child.until >= state.now + seconds:
            continue
        outcome = Outcome(Decision.PARK, GROUP_PARKED, state.judge.park_delay(event.retry_after))
        state.report(child, outcome)
        if child.state in ALIVE:
            child.parks = True
            state.commander.set_resume(child, outcome.delay, state.now)
            stops += state.taken_along(child)
        else:
            state.commander.stop_waiting(child)
            wait(state, child, Step.PARK, outcome)
    if stops:
        state.begin(Plan(Aim.STOP, stops=stops, leader=members[0].spec.id))


def _can_park(child: Child) -> bool:
    """Not one that is down to stay, nor one that would not be started again."""
    return child.spec.restart is not RestartType.TEMPORARY and (child.state in ALIVE or child.state in RESTARTING)
