"""What a child's own rules say about its end, before its supervisor's window is asked."""

from collections.abc import Callable
from dataclasses import dataclass

from suptree.actors.exits import Exit, ExitClass

from .child import Child
from .child_spec import RestartType
from .commands import Decision
from .fingerprint import ALIKE_LIMIT

# (restart type, whether the exit was normal) -> whether the child is started again. OTP's own table.
RESTARTS: dict[tuple[RestartType, bool], bool] = {
    (RestartType.PERMANENT, True): True,
    (RestartType.PERMANENT, False): True,
    (RestartType.TRANSIENT, True): False,
    (RestartType.TRANSIENT, False): True,
    (RestartType.TEMPORARY, True): False,
    (RestartType.TEMPORARY, False): False,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision and what it rests on."""

    decision: Decision
    why: str


def _hit_a_quota(child: Child, exit_: Exit) -> str | None:
    """`park`, and the exit class is `quota`"""
    if child.spec.park and exit_.exit_class is ExitClass.QUOTA:
        return "it ran into a quota"
    return None


def _cannot_be_mended(child: Child, exit_: Exit) -> str | None:
    """`hold`, and the exit class is `permanent`"""
    if child.spec.hold and exit_.exit_class is ExitClass.PERMANENT:
        return f"a restart cannot mend this: {exit_.reason}"
    return None


def _fails_alike(child: Child, _exit: Exit) -> str | None:
    """`hold`, and this is the third exit in a row with the same fingerprint"""
    if child.spec.hold and child.alike >= ALIKE_LIMIT:
        return f"it failed {child.alike} times running in the same way: {child.fingerprint}"
    return None


def _exceeds_its_own_limit(child: Child, _exit: Exit) -> str | None:
    """`max_restarts`, and so many restarts in a row were made"""
    limit = child.spec.max_restarts
    if limit is not None and child.in_a_row >= limit:
        return f"it exceeded its own limit of {limit} restarts"
    return None


# The first that applies decides.
OWN_RULES: tuple[tuple[Callable[[Child, Exit], str | None], Decision], ...] = (
    (_hit_a_quota, Decision.PARK),
    (_cannot_be_mended, Decision.HOLD),
    (_fails_alike, Decision.HOLD),
    (_exceeds_its_own_limit, Decision.QUARANTINE),
)


def own_verdict(child: Child, exit_: Exit) -> Verdict | None:
    """What the additions that the child's spec turned on decide; None where they leave it to OTP's rules."""
    for rule, decision in OWN_RULES:
        why = rule(child, exit_)
        if why is not None:
            return Verdict(decision, why)
    return None


def has_rules_of_its_own(child: Child) -> bool:
    """Whether a failed start while the supervisor itself starts is the child's own affair, instead of the end of the supervisor."""
    spec = child.spec
    return spec.hold or spec.park or spec.max_restarts is not None
