"""How often is written down what strangers can have us write down: the record of everything else is to keep its place."""

_INTERVALS = (5.0, 60.0, 3600.0)
_OF_EACH = 50
_FORGOTTEN_AFTER = 24 * 3600.0


class ReportInterval:
    """Fifty reports come 5 s after what they are about, the next fifty after a minute, all others after an hour.

    After a day without a report it begins anew. Times are seconds on the monotonic clock.
    """

    def __init__(self) -> None:
        self._reports = 0
        self._last = 0.0

    def due_in(self, now: float) -> float:
        """Seconds until what has just happened is to be reported, with all that happens until then."""
        if now - self._last > _FORGOTTEN_AFTER:
            self._reports = 0
        return _INTERVALS[min(self._reports // _OF_EACH, len(_INTERVALS) - 1)]

    def reported(self, now: float) -> None:
        """A report was made."""
        self._reports += 1
        self._last = now
