"""What a supervisor core is in the middle of: stops in reverse start order, then starts in start order, one at a time."""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum


class Aim(Enum):
    """Why the children are stopped and started, which decides what a failed start means."""

    START_ALL = "start_all"
    """The supervisor itself starts."""
    RESTART = "restart"
    """A child, and those that its strategy takes along, are started again."""
    STOP = "stop"
    """Children are stopped and nothing is started."""
    START_ONE = "start_one"
    """A start_child or restart_child request."""
    SHUT_DOWN = "shut_down"
    """The supervisor itself ends."""


@dataclass(slots=True)
class Plan:
    """The stops that are left (the next one last), then the starts that are left (the next one first).

    What is stopped while there is a `leader` comes back when the leader does.
    `counts` says whether the starts are restarts; a resumed park is none.
    """

    aim: Aim
    stops: list[str] = field(default_factory=list)
    starts: deque[str] = field(default_factory=deque)
    leader: str | None = None
    graceful: bool = True
    counts: bool = False
    request: Hashable = None
    new: bool = False
    """The request brought the spec along: the spec is forgotten if the start fails."""
    current: str | None = None
    """The child whose stop or start was ordered and has not been answered."""
    stopping: bool = False
    """`current` is being stopped, not started."""

    def wait_for_stop(self, child_id: str) -> None:
        """The stop of this child was ordered."""
        self.current, self.stopping = child_id, True

    def wait_for_start(self, child_id: str) -> None:
        """The start of this child was ordered."""
        self.current, self.stopping = child_id, False

    def answered(self) -> None:
        """The stop or start that the plan waited for is over."""
        self.current = None

    def awaits_start_of(self, child_id: str) -> bool:
        """Whether the plan waits for the start of this child."""
        return self.current == child_id and not self.stopping

    def names(self, child_id: str) -> bool:
        """Whether the plan will still come to this child."""
        return child_id in self.stops or child_id in self.starts
