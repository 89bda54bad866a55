"""The stop ladder: each rung only if the one before did not end the program in its time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rung:
    """One step down: what it does, and how many seconds the program gets then; None skips the rung, 0 goes on at once."""

    name: str
    act: Callable[[], Awaitable[None] | None]
    seconds: float | None


class StopLadder:
    """Climbed down once; a further request takes the next rung at once."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended
        self._hurry = asyncio.Event()
        self._extended_until = 0.0

    def skip(self) -> None:
        """Wait no longer on the present rung."""
        self._hurry.set()

    def extend(self, until: float) -> None:
        """Let the present rung last until then, in the loop's seconds, if that is longer."""
        self._extended_until = until

    async def climb_down(self, rungs: list[Rung]) -> None:
        """Return when the program has ended, or after the last rung."""
        for rung in rungs:
            if rung.seconds is None:
                continue
            if self._ended.is_set():
                return
            self._hurry.clear()
            acted = rung.act()
            if acted is not None:
                await acted
            if rung.seconds > 0:
                await self._wait(rung.seconds)

    async def _wait(self, seconds: float) -> None:
        """Until it has ended, the time is over, or somebody hurries."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._ended, self._hurry)]
        while seconds > 0:
            done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            seconds = 0.0 if done else self._extended_until - asyncio.get_running_loop().time()
        for wait in waits:
            wait.cancel()
