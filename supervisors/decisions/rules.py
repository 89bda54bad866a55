"""The tables of what follows when a child ends: OTP's own, and the rules that a child's spec turns on."""

from collections.abc import Callable

from suptree.actors.exits import Exit, ExitClass

from ..spec.child_spec import ChildSpec, RestartType
from .child import Child
from .core_commands import Decision
from .fingerprint import ALIKE_LIMIT

# (restart type, whether the exit was normal) -> whether the child is started again.
RESTARTS: dict[tuple[RestartType, bool], bool] = {
    (RestartType.PERMANENT, True): True,
    (RestartType.PERMANENT, False): True,
    (RestartType.TRANSIENT, True): False,
    (RestartType.TRANSIENT, False): True,
    (RestartType.TEMPORARY, True): False,
    (RestartType.TEMPORARY, False): False,
}


def _hit_a_quota(child: Child, exit_: Exit) -> str | None:
    """`park`, and the exit class is `quota`"""
    if child.spec.park and exit_.exit_class is ExitClass.QUOTA:
        return f"it ran into a quota: {exit_.reason}"
    return None


def _is_permanent(child: Child, exit_: Exit) -> str | None:
    """`hold`, and the exit class is `permanent`"""
    if child.spec.hold and exit_.exit_class is ExitClass.PERMANENT:
        return f"a restart cannot help: {exit_.reason}"
    return None


def _fails_alike(child: Child, exit_: Exit) -> str | None:
    """`hold`, and this is the third exit running with the same fingerprint"""
    if child.spec.hold and child.alike >= ALIKE_LIMIT:
        return f"it failed {child.alike} times running in the same way: {exit_.exit_class}: {exit_.last_error or exit_.reason}"
    return None


def _exceeds_its_own_limit(child: Child, exit_: Exit) -> str | None:
    """`max_restarts`, and so many restarts of it were made in a row"""
    limit = child.spec.max_restarts
    if limit is not None and child.in_a_row >= limit:
        return f"{exit_.summary}: it exceeded its own limit of {limit} restarts"
    return None


Rule = Callable[[Child, Exit], str | None]
"""Says why it applies, or None."""

# The first that applies decides; where none does, OTP's rules do.
OWN_RULES: tuple[tuple[Rule, Decision], ...] = (
    (_hit_a_quota, Decision.PARK),
    (_is_permanent, Decision.HOLD),
    (_fails_alike, Decision.HOLD),
    (_exceeds_its_own_limit, Decision.QUARANTINE),
)


def has_rules_of_its_own(spec: ChildSpec) -> bool:
    """Whether a failed start while the supervisor itself starts is the child's own affair, instead of the end of the supervisor."""
    return spec.hold or spec.park or spec.max_restarts is not None
