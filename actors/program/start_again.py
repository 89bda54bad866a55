"""Starting a program again, for a while, where what stood in the way may pass by itself."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..exits import CauseId
from .execution import CannotExecute

TRY_FOR = 10.0
"""So many seconds, but no more than half of the startup_timeout."""
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 1.0

Started = TypeVar("Started")


async def start_again(
    start: Callable[[], Awaitable[Started]], *, ran_before: bool, try_for: float, stop_asked: asyncio.Event, say: Callable[[str], None]
) -> Started:
    """What `start` returns. Where something is short for the moment it is called again after a wait, each twice as long as the one before.

    A program that ran before may be missing for a moment, while it is replaced. `say` gets each new reason for a wait.
    Raises CannotExecute when the time is over, a stop is asked for, or waiting would not help.
    """
    clock = asyncio.get_running_loop().time
    end, wait, reason = clock() + try_for, _FIRST_WAIT, ""
    while True:
        try:
            return await start()
        except CannotExecute as refusal:
            passes = refusal.cause is CauseId.SHORTAGE or ran_before
            if not passes or stop_asked.is_set() or clock() + wait > end:
                raise
            if str(refusal) != reason:
                reason = str(refusal)
                say(f"{reason}; it is tried again for up to {end - clock():.1f} s")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await stop_asked.wait()
        wait = min(2 * wait, _LONGEST_WAIT)
