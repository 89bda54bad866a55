"""How long a restart waits, and which limits such waiting would make impossible to reach."""

from collections.abc import Callable, Iterable
from itertools import islice

from suptree.actors.errors import SpecError

from ..spec.child_spec import Backoff, ChildSpec, RestartType, SupervisorFlags

Uniform = Callable[[float, float], float]

JITTER = (0.5, 1.0)
HEALTHY_AFTER = Backoff().healthy_after
"""Seconds of life after which a child without a backoff of its own counts as healthy again."""


def steps(backoff: Backoff) -> Iterable[float]:
    """The delays before restart 1, 2, 3, ... in a row, without jitter."""
    yield 0.0
    delay = backoff.base
    while True:
        yield min(delay, backoff.cap)
        delay = min(delay * 2, backoff.cap)


def delay_before(restart: int, backoff: Backoff | None, uniform: Uniform) -> float:
    """How many seconds restart number `restart` in a row (from 1) waits."""
    if backoff is None or restart < 2:
        return 0.0
    # At most 64 doublings: every sensible cap is reached by then, and a float would overflow.
    return float(min(backoff.cap, backoff.base * 2.0 ** min(restart - 2, 64)) * uniform(*JITTER))


def is_healthy(lived: float, backoff: Backoff | None) -> bool:
    """Whether an incarnation lived long enough for what came before it to be forgotten."""
    return lived >= (backoff.healthy_after if backoff else HEALTHY_AFTER)


def check_limits(flags: SupervisorFlags, children: Iterable[ChildSpec]) -> None:
    """Raise SpecError if a crash loop of one child could never exceed the supervisor's limit, because its backoff is too slow for that."""
    for spec in children:
        if spec.backoff is None or spec.max_restarts is not None or spec.restart is RestartType.TEMPORARY:
            continue
        shortest = JITTER[0] * sum(islice(steps(spec.backoff), flags.max_restarts))
        if shortest > flags.within:
            raise SpecError(
                f"{spec.id}: the limit of {flags.max_restarts} restarts within {flags.within:g} s could never be exceeded:"
                f" the backoff delays of so many restarts sum to {shortest:g} s or more; allow fewer restarts, widen `within`,"
                " or shorten the backoff"
            )
