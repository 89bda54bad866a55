"""Time limits that count only the time in which this process could run.

A process that was stopped (SIGSTOP, a frozen control group, a machine that stood still) finds all its deadlines passed when it goes on,
although the work that it waited for was stopped too. So a wait is made of slices, and each slice counts for no more than its length.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_SLICES = 8
_LONGEST_SLICE = 1.0

Result = TypeVar("Result")


async def wait_awake(waiting: Iterable[asyncio.Future[Any]], seconds: float) -> bool:
    """Whether one of these was done within so many seconds of running; none is cancelled."""
    loop = asyncio.get_running_loop()
    futures, left = list(waiting), seconds
    length = min(seconds / _SLICES, _LONGEST_SLICE)
    while left > 0:
        began = loop.time()
        done, _ = await asyncio.wait(futures, timeout=min(length, left), return_when=asyncio.FIRST_COMPLETED)
        if done:
            return True
        # A little more than the slice is what a busy machine takes.
        left -= min(loop.time() - began, 2 * length)
    return any(future.done() for future in futures)


async def within(seconds: float, coroutine: Coroutine[Any, Any, Result]) -> Result:
    """What a coroutine returns or raises. Raises TimeoutError when that takes longer: the coroutine is cancelled, and must end by that."""
    task = asyncio.ensure_future(coroutine)
    try:
        if not await wait_awake([task], seconds):
            raise TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
