"""The stop ladder: each rung only if the one before did not end the program in its time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..base.deadlines import Deadlines


@dataclass(frozen=True, slots=True)
class Rung:
    """One step down: what it does, and how many seconds the program gets then; None skips the rung, 0 goes on immediately."""

    name: str
    act: Callable[[], Awaitable[None] | None]
    seconds: float | None


class StopLadder:
    """Climbed down once; a further request takes the next rung immediately.

    The present rung lasts longer where the program asks for more time: `deadlines` are those of its incarnation. After a further request
    the program gets no more time than the rungs say: a person has waited long enough.
    """

    def __init__(self, ended: asyncio.Event, deadlines: Deadlines) -> None:
        self._ended = ended
        self._deadlines = deadlines
        self._next_rung = asyncio.Event()
        self._is_hurried = False

    def skip(self) -> None:
        """Wait no longer on the present rung, and on no later one for longer than it says."""
        self._is_hurried = True
        self._next_rung.set()

    async def climb_down(self, rungs: list[Rung]) -> None:
        """Return when the program has ended, or after the last rung."""
        for rung in rungs:
            if rung.seconds is None:
                continue
            if self._ended.is_set():
                return
            self._next_rung.clear()
            acted = rung.act()
            if acted is not None:
                await acted
            if rung.seconds > 0:
                await self._wait(rung.seconds)

    async def _wait(self, seconds: float) -> None:
        """Until the program has ended, the time is over, or the next rung is asked for."""
        later = asyncio.get_running_loop().call_later if self._is_hurried else self._deadlines.set
        deadline = later(seconds, self._next_rung.set)
        waits = [asyncio.ensure_future(event.wait()) for event in (self._ended, self._next_rung)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        deadline.cancel()
        for wait in waits:
            wait.cancel()
