"""Calling the agent's own code: what it returns, awaited; and the end of a copy of this process that it has forked.

`os.fork()` in the agent's code makes a second process that is in the middle of everything: when that code returns, or raises, the copy
would go on as the agent, answer its questions, and end it. So a copy ends where the agent's code does, as a program would.
"""

import asyncio
import contextlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

_FAILED = 1
_INTERRUPTED = 130


class _Copy:
    """Whether this process is a copy of an agent's that its code has forked."""

    def __init__(self) -> None:
        self.is_one = False

    def become_one(self) -> None:
        self.is_one = True


_copy = _Copy()


def watch_forks() -> None:
    """From now on a process that this one forks is a copy of an agent's."""
    os.register_at_fork(after_in_child=_copy.become_one)


def end_copy(error: BaseException | None = None) -> None:
    """Where this is a copy: end it, as a program that ends by this error, or by none."""
    if not _copy.is_one:
        return
    status = 0
    # Both run the error's own code, and that of what writes.
    with contextlib.suppress(BaseException):
        if isinstance(error, SystemExit) and isinstance(error.code, int | None):
            status = (error.code or 0) & 0xFF
        elif isinstance(error, KeyboardInterrupt):
            status = _INTERRUPTED
        elif error is not None and not isinstance(error, asyncio.CancelledError):
            status = _FAILED
            traceback.print_exception(error)
        sys.stdout.close()
        sys.stderr.close()
    os._exit(status)


async def call(function: Callable[..., Any], *args: Any) -> Any:
    """What a function of the agent's returns, awaited where that is to be."""
    try:
        result = function(*args)
        if inspect.isawaitable(result):
            result = await result
    except BaseException as error:
        end_copy(error)
        raise
    end_copy()
    return result
