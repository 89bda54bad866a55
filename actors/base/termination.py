"""SIGTERM to every process of a tree together, as systemd's `KillMode=control-group` sends it: a stop on request, in order.

The launcher stops the tree; an actor goes on until its supervisor ends it; a program that the signal ends has ended on request. Which
process hears the signal first is chance, so all of them wait for a moment until it is clear whether the others were meant too.
"""

import asyncio
import math
import os
import signal
import threading
import time
from typing import Final

from ..kernel.linux import is_pending
from .life_stamps import LifeStamps

TOGETHER = 0.25
"""Seconds within which a program that signals every process of a tree has reached all of them."""
_SAME_REQUEST = 5.0
_LOOK_EVERY = 0.01


class Termination:
    """Whether SIGTERM was sent to this process, and to the launcher: make it before anything is forked, for that is shared memory."""

    def __init__(self) -> None:
        self._heard = LifeStamps("launcher", "actor")
        self._maker = os.getpid()
        self._heard_at = -math.inf
        self._masks = threading.local()

    def announce(self) -> None:
        """The launcher has heard SIGTERM: it stops the tree."""
        self._heard.stamp("launcher")

    @property
    def is_announced(self) -> bool:
        """Whether the launcher was sent SIGTERM: it has heard that, or will when it gets a processor."""
        return self._heard.seen("launcher") > 0.0 or is_pending(signal.SIGTERM, self._maker)

    def begin(self, *, ends_alone: bool) -> None:
        """Hear SIGTERM from now on, in an actor that was just forked. `ends_alone`: a SIGTERM that is meant for this process ends it."""
        self._heard_at = -math.inf
        signal.signal(signal.SIGTERM, self._hear_or_end if ends_alone else self._hear)
        if ends_alone:
            os.register_at_fork(before=self._block, after_in_parent=self._unblock, after_in_child=self._forget)

    @property
    def heard_for(self) -> float | None:
        """For how many seconds a SIGTERM to every process of the tree has been heard here; None where there was none."""
        heard_at = self._heard_at
        if not self.is_announced or abs((self._heard.seen("launcher") or heard_at) - heard_at) > _SAME_REQUEST:
            return None
        return time.monotonic() - heard_at

    async def explains(self, *, died_of_it: bool) -> bool:
        """Whether an end that nobody ordered is part of the stop of the whole tree: asked when a program has ended, by SIGTERM or not.

        Where SIGTERM was sent, this waits until it has been sent to every process that is meant: what is started then is not hit by it.
        """
        now = time.monotonic()
        # By any process: the actor of a program that ended early may be the last that hears it.
        heard_at = max(self._heard_at, self._heard.seen("actor"), self._heard.seen("launcher"))
        if not self._has_heard_lately and (died_of_it or is_pending(signal.SIGTERM, self._maker)):
            heard_at = now
        await asyncio.sleep(max(0.0, heard_at + TOGETHER - now))
        return self.is_announced and (died_of_it or self._has_heard_lately)

    @property
    def _has_heard_lately(self) -> bool:
        return time.monotonic() - self._heard_at < _SAME_REQUEST

    def _hear(self, _number: int, _frame: object) -> None:
        self._heard_at = time.monotonic()
        self._heard.stamp("actor")

    def _hear_or_end(self, number: int, frame: object) -> None:
        self._hear(number, frame)
        # Here, and not on the loop, which code that is not ours may hold.
        while not self.is_announced and time.monotonic() - self._heard_at < TOGETHER:
            time.sleep(_LOOK_EVERY)
        if not self.is_announced:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    # A copy of this process, which code that runs here forks, is not of the tree: SIGTERM ends it, from its first moment on.

    def _block(self) -> None:
        self._masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def _unblock(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.before)

    def _forget(self) -> None:
        if signal.getsignal(signal.SIGTERM) == self._hear_or_end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._unblock()


TERMINATION: Final = Termination()
"""That of this tree: the launcher makes it, before it forks anything."""
