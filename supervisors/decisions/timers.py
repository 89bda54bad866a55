"""What names a timer of a supervisor core."""

from dataclasses import dataclass
from enum import Enum


class TimerUse(Enum):
    """What a timer is for; a child has at most one of each."""

    KILL = "kill"
    """The time that the child has for its stop is over."""
    RESUME = "resume"
    """The backoff or the park of the child is over."""


@dataclass(frozen=True, slots=True)
class Timer:
    """The name of a timer: what it is for, and of which child it is."""

    use: TimerUse
    child_id: str
