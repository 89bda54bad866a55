"""How much of what one incarnation says of itself, and of what is said of it, is passed on: a word costs us more than the program."""

from dataclasses import dataclass, replace

from ..base.messages import Suspect
from ..notify.notification import Notification

AT_FIRST = 10
"""So many are passed on immediately."""
EVERY = 1.0
"""Seconds until the next one may be, after these."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What is passed on, and how many notifications `said` stands for beyond the first, whose statuses are lost."""

    said: Notification | None
    skipped: int
    verdict: Suspect | None = None


class Allowance:
    """A token bucket of one incarnation. Times are in seconds of one clock.

    That it is ready, that it stops and `WATCHDOG=trigger` are passed on immediately, each once. Of the rest `AT_FIRST` are, and then one
    every `EVERY` seconds; what comes meanwhile is merged, and the last value of each variable wins. While the receiver is behind, the rest
    waits as well. That it is suspect, and no longer, counts as the rest does; `suspect` is what the receiver knows at the beginning.
    """

    def __init__(self, now: float, *, suspect: bool = False) -> None:
        self._left = float(AT_FIRST)
        self._counted_at = now
        self._facts: frozenset[str] = frozenset()
        self._waiting: Notification | None = None
        self._skipped = 0
        self._suspect = suspect
        self._verdict: Suspect | None = None

    @property
    def waits(self) -> bool:
        """Whether something has been said that is not passed on yet."""
        return self._waiting is not None or self._verdict is not None

    def hear(self, said: Notification, now: float, *, behind: bool = False) -> Passed | None:
        """It said something: what is to be passed on now, if anything is; `behind` where the receiver has not taken what came before."""
        facts = {name for name, is_said in (("ready", said.ready), ("stopping", said.stopping), ("trigger", said.trigger)) if is_said}
        is_news = not facts <= self._facts
        self._facts |= facts
        if self._waiting is not None:
            self._skipped += 1
            said = _merged(self._waiting, said)
        self._waiting = said
        return self.rest() if is_news or self._may(now, behind=behind) else None

    def judge(self, verdict: Suspect, now: float, *, behind: bool = False) -> Passed | None:
        """It is suspect, or no longer: what is to be passed on now, if anything is. What the receiver knows already need not be."""
        self._verdict = None if verdict.suspect == self._suspect else verdict
        return self.due(now, behind=behind)

    def due_in(self, now: float) -> float:
        """In how many seconds what waits may be passed on. Where the receiver alone is what it waits for: in how many to look again."""
        self._count(now)
        return EVERY if self._left >= 1.0 else (1.0 - self._left) * EVERY

    def due(self, now: float, *, behind: bool = False) -> Passed | None:
        """What waits, where its time has come and the receiver is not behind."""
        return self.rest() if self.waits and self._may(now, behind=behind) else None

    def rest(self) -> Passed | None:
        """What waits, whenever it was due: it says nothing more."""
        if not self.waits:
            return None
        passed = Passed(self._waiting, self._skipped, self._verdict)
        if self._verdict is not None:
            self._suspect = self._verdict.suspect
        self._waiting, self._skipped, self._verdict = None, 0, None
        return passed

    def _may(self, now: float, *, behind: bool) -> bool:
        self._count(now)
        if behind or self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def _count(self, now: float) -> None:
        self._left = min(AT_FIRST, self._left + (now - self._counted_at) / EVERY)
        self._counted_at = now


def _merged(earlier: Notification, later: Notification) -> Notification:
    return replace(
        later,
        ready=earlier.ready or later.ready,
        pinged=earlier.pinged or later.pinged,
        trigger=earlier.trigger or later.trigger,
        stopping=earlier.stopping or later.stopping,
        status=earlier.status if later.status is None else later.status,
        watchdog=earlier.watchdog if later.watchdog is None else later.watchdog,
        extend=earlier.extend if later.extend is None else later.extend,
    )
