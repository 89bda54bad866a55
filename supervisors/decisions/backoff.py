"""How long a restart waits."""

from collections.abc import Callable, Iterator

from ..spec.child_spec import Backoff

Uniform = Callable[[float, float], float]

JITTER = (0.5, 1.0)


def steps(backoff: Backoff) -> Iterator[float]:
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
