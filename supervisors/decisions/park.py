"""How long a child that ran into a quota waits."""

from .backoff import Uniform

DEFAULT_RETRY_AFTER = 60.0
"""Seconds, for a quota exit that does not say when to come back."""
LEAST_WAIT = 1.0
"""Seconds; a park costs no restart, so nothing else would end a loop of parks without a wait."""
SPREAD = 0.25
"""Each agent that waits comes back up to this share of the wait later than asked, so that they do not come all together."""
LEAST_SPREAD = 1.0
"""Seconds."""


def wait_for_quota(retry_after: float | None) -> float:
    """How many seconds to wait at least."""
    return DEFAULT_RETRY_AFTER if retry_after is None else max(retry_after, LEAST_WAIT)


def delay_until_resume(retry_after: float | None, uniform: Uniform) -> float:
    """How many seconds one parked child waits."""
    wait = wait_for_quota(retry_after)
    return wait + uniform(0.0, max(LEAST_SPREAD, wait * SPREAD))
