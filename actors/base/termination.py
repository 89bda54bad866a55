"""SIGTERM to every process of a tree together, as systemd's `KillMode=control-group` sends it: a stop on request, in order.

The launcher stops the tree; an actor goes on until its supervisor ends it; a program that the signal ends has ended on request. Which
process hears the signal first is chance, so all of them wait for a moment until it is clear whether the others were meant too.
"""

import asyncio
import math
import os
import signal
import time
from typing import Final

from .life_stamps import LifeStamps

TOGETHER = 0.25
"""Seconds within which a program that signals every process of a tree has reached all of them."""
_SAME_REQUEST = 5.0
_LOOK_EVERY = 0.01


class Termination:
    """Whether SIGTERM was sent to this process, and to the launcher: make it before anything is forked, for that is shared memory."""

    def __init__(self) -> None:
        self._launcher = LifeStamps("launcher")
        self._heard_at = -math.inf
        self._pid = 0

    def announce(self) -> None:
        """The launcher has heard SIGTERM: it stops the tree."""
        self._launcher.stamp("launcher")

    @property
    def is_announced(self) -> bool:
        """Whether the launcher has heard SIGTERM."""
        return self._launcher.seen("launcher") > 0.0

    def begin(self, *, ends_alone: bool) -> None:
        """Hear SIGTERM from now on, in an actor that was just forked. `ends_alone`: a SIGTERM that is meant for this process ends it."""
        self._heard_at = -math.inf
        self._pid = os.getpid()
        signal.signal(signal.SIGTERM, self._hear_or_end if ends_alone else self._hear)

    @property
    def heard_for(self) -> float | None:
        """For how many seconds a SIGTERM to every process of the tree has been heard here; None where there was none."""
        if not self.is_announced or abs(self._launcher.seen("launcher") - self._heard_at) > _SAME_REQUEST:
            return None
        return time.monotonic() - self._heard_at

    async def explains(self, *, died_of_it: bool) -> bool:
        """Whether an end that nobody ordered is part of the stop of the whole tree: asked when a program has ended, by SIGTERM or not.

        Where SIGTERM was sent, this waits until it has been sent to every process that is meant: what is started then is not hit by it.
        """
        heard_at = self._heard_at if time.monotonic() - self._heard_at < _SAME_REQUEST else -math.inf
        if not died_of_it and heard_at == -math.inf:
            return False
        begun = time.monotonic() if heard_at == -math.inf else heard_at
        await asyncio.sleep(max(0.0, begun + TOGETHER - time.monotonic()))
        return self.is_announced

    def _hear(self, _number: int, _frame: object) -> None:
        self._heard_at = time.monotonic()

    def _hear_or_end(self, number: int, frame: object) -> None:
        # A copy of this process, which code that runs here has forked, is not of the tree.
        if os.getpid() == self._pid:
            self._hear(number, frame)
            # Here, and not on the loop, which code that is not ours may hold.
            while not self.is_announced and time.monotonic() - self._heard_at < TOGETHER:
                time.sleep(_LOOK_EVERY)
            if self.is_announced:
                return
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


TERMINATION: Final = Termination()
"""That of this tree: the launcher makes it, before it forks anything."""
