"""Waiting for what sends no event, as a file that appears: each function here polls every 10 ms, until a deadline."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

EVERY = 0.01

Found = TypeVar("Found")


def poll_until(look: Callable[[], Found], within: float = 20.0, what: str | Callable[[], object] = "") -> Found:
    """What `look` returns when that is true; AssertionError after `within` seconds, with `what` was waited for, or what it then returns."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, _too_late(within, what)
        time.sleep(EVERY)
    return found


async def poll_until_async(look: Callable[[], Found], within: float = 20.0, what: str | Callable[[], object] = "") -> Found:
    """The same, while other tasks of the loop run."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, _too_late(within, what)
        await asyncio.sleep(EVERY)
    return found


def _too_late(within: float, what: str | Callable[[], object]) -> str:
    return f"not within {within:g} s: {what() if callable(what) else what}"
