"""How often a stop was asked for. The first request stops a tree in order, a further one ends the grace of what still stops."""

from collections import Counter
from enum import Enum, auto


class Asks(Enum):
    """Who asks for a stop."""

    SIGTERM = auto()
    STARTER = auto()
    """The program that started the launcher, by a signal of its own."""
    CLIENT = auto()
    NO_STARTER = auto()
    """That program is gone."""
    FAILURE = auto()
    """Some work of the launcher failed."""


class StopRequests:
    """Counts requests by who asks.

    A request that comes in several ways is one: systemd's `KillMode=control-group` sends SIGTERM to the launcher, and to `suptree up`,
    which passes it on.
    """

    def __init__(self) -> None:
        self._made: Counter[Asks] = Counter()

    def is_new(self, asks: Asks) -> bool:
        """Count a request; whether it is the first, or a further one of somebody who has asked before."""
        before = max(self._made.values(), default=0)
        self._made[asks] += 1
        return self._made[asks] > before
