"""How many restarts a supervisor has made lately."""

from collections import deque


class RestartWindow:
    """The restarts of the last `within` seconds; OTP's intensity and period.

    A restart counts up to and including the moment at which it is `within` seconds old.
    """

    def __init__(self, max_restarts: int, within: float) -> None:
        self._max_restarts = max_restarts
        self._within = within
        self._times: deque[float] = deque()

    def count(self, now: float) -> int:
        """How many restarts count at that time."""
        while self._times and now - self._times[0] > self._within:
            self._times.popleft()
        return len(self._times)

    def left(self, now: float) -> int:
        """How many more restarts are allowed at that time."""
        return self._max_restarts - self.count(now)

    def add(self, now: float) -> None:
        """Count one restart."""
        self._times.append(now)
