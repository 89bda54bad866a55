"""How an incarnation ended: the exit classes, and the record that travels with every exit."""

import math
from dataclasses import dataclass
from enum import StrEnum

LONGEST_RETRY_AFTER = 30 * 24 * 3600.0
"""Seconds; an agent that says more is taken to have said this."""


def retry_time(said: object) -> float | None:
    """Seconds that can be waited for, of what somebody said when to come back; None when that is no time."""
    return float(min(said, LONGEST_RETRY_AFTER)) if isinstance(said, int | float) and 0 <= said < math.inf else None


class ExitClass(StrEnum):
    """Why an incarnation ended, as far as a restart decision needs to know."""

    SHUTDOWN = "shutdown"
    """A stop was requested."""
    NORMAL = "normal"
    """It finished its work: exit status 0, or `run()` returned."""
    HUNG = "hung"
    """It was silent for too long and was killed for it."""
    UNHEALTHY = "unhealthy"
    """Its health check failed and it was killed for it."""
    STARTUP_TIMEOUT = "startup_timeout"
    """It did not become ready in time."""
    BUDGET = "budget"
    """It exceeded one of its limits."""
    OOM = "oom"
    """The kernel killed it because memory was short."""
    PERMANENT = "permanent"
    """A failure that a restart cannot help: 64, 77, 78, 126 or 127, or a program that cannot be executed."""
    QUOTA = "quota"
    """A rate limit or quota: exit 75, or the agent said so."""
    EXTERNAL = "external"
    """Somebody else sent HUP, INT or TERM."""
    CRASH = "crash"
    """It died by a signal, or its actor vanished."""
    FAILED = "failed"
    """Any other exit status, or `run()` raised."""


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of one incarnation.

    `reason` is for people (`exit 1`, `SIGSEGV`, `ValueError: no model`); `last_error` is the last line of its error output;
    `retry_after` is in seconds and is given with `quota` alone; `during_start` is set when it ended before its minimum uptime.
    """

    exit_class: ExitClass
    reason: str
    last_error: str | None = None
    retry_after: float | None = None
    during_start: bool = False

    @property
    def is_normal(self) -> bool:
        """Whether OTP would call the reason normal: `normal`, `shutdown` and `{shutdown, Term}` are."""
        return self.exit_class in (ExitClass.NORMAL, ExitClass.SHUTDOWN)

    @property
    def told(self) -> str:
        """The class and the reason, for people."""
        return f"{self.exit_class} ({self.reason})"
