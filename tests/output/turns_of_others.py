"""How many turns others have on the loop while something is done."""

import asyncio
import contextlib
from collections.abc import Iterator


class Turns:
    """So many so far."""

    def __init__(self) -> None:
        self.count = 0

    async def keep_counting(self) -> None:
        """Have one turn after the other."""
        while True:
            await asyncio.sleep(0)
            self.count += 1


@contextlib.contextmanager
def turns_of_others() -> Iterator[Turns]:
    """Count them for the block."""
    turns = Turns()
    counting = asyncio.create_task(turns.keep_counting())
    try:
        yield turns
    finally:
        counting.cancel()
