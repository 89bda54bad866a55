"""Taking turns with the others on a loop, in work on as many things as a program likes to make."""

import asyncio
import time

LONGEST = 0.02
"""Seconds of a turn, after which others have theirs."""


class Turns:
    """One piece of work, which begins now; after a turn it rests `rests_for` times as long as the turn took."""

    def __init__(self, *, rests_for: float = 0.0) -> None:
        self._rests_for = rests_for
        self._began = time.monotonic()
        self.worked = 0.0
        """Seconds of all turns but the present one."""

    async def rest(self) -> None:
        """Call this after each step: it returns immediately, unless the turn is over."""
        took = time.monotonic() - self._began
        if took > LONGEST:
            self.worked += took
            await asyncio.sleep(self._rests_for * took)
            self._began = time.monotonic()
