"""Limits that could never be reached, or that are reached too early to be of use: found in specs, before anything runs."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from suptree.actors.errors import SpecError

from ..spec.child_spec import Backoff, ChildSpec, OnLimit, RestartType, SupervisorFlags
from .backoff import JITTER, steps
from .fingerprint import ALIKE_LIMIT

_VERY_MANY = 1e18


@dataclass(frozen=True, slots=True)
class NeverExceeded:
    """A limit that could never be exceeded: `id` is the first child that would have to, `why` says so and what to do."""

    id: str
    why: str


def check_limits(flags: SupervisorFlags, children: Iterable[ChildSpec]) -> None:
    """Raise SpecError if the supervisor's limit could never be exceeded."""
    if (never := never_exceeded(flags, children)) is not None:
        raise SpecError(f"{never.id}: {never.why}")


def never_exceeded(flags: SupervisorFlags, children: Iterable[ChildSpec]) -> NeverExceeded | None:
    """Whether the supervisor's limit could never be exceeded, because every child that could waits too long for that.

    A child that crashes in a loop without a backoff exceeds any limit, and several that wait may together exceed a limit that one alone
    could not.
    """
    charged = [spec for spec in children if _is_charged(spec)]
    waits = [spec.backoff for spec in charged if spec.backoff is not None]
    if not waits or len(waits) < len(charged):
        return None
    most = sum(most_crashes(backoff, flags.within) for backoff in waits)
    if most > flags.max_restarts:
        return None
    crash = "its crash loop asks" if len(charged) == 1 else f"the crash loops of all {len(charged)} children together ask"
    return NeverExceeded(
        charged[0].id,
        f"the limit of {flags.max_restarts} restarts within {flags.within:g} s could never be exceeded:"
        f" with such a backoff {crash} for {most} in that time at most; allow fewer restarts, widen `within`, or shorten the backoff",
    )


def most_crashes(backoff: Backoff, within: float) -> int:
    """How often a child that crashes immediately can crash within so many seconds, with the shortest delays."""
    crashes, at, delays = 1, 0.0, steps(backoff)
    while (at := at + JITTER[0] * (delay := next(delays))) <= within:
        crashes += 1
        if delay >= backoff.cap:
            # From here on all delays are alike, and there may be very many.
            return crashes + math.floor(min((within - at) / backoff.cap / JITTER[0], _VERY_MANY))
    return crashes


def gives_up_before_hold(flags: SupervisorFlags, spec: ChildSpec) -> bool:
    """Whether a child with `hold` that fails immediately ends its supervisor before the failures alike are enough to hold the child."""
    return spec.hold and _is_charged(spec) and flags.on_limit is OnLimit.ESCALATE and flags.max_restarts < ALIKE_LIMIT - 1


def _is_charged(spec: ChildSpec) -> bool:
    """Whether restarts of the child count against the limit of its supervisor."""
    return spec.max_restarts is None and spec.restart is not RestartType.TEMPORARY
