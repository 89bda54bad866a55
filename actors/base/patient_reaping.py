"""Waiting for children without being held up by one that has ended and cannot be reaped, as long as another process traces it.

asyncio asks waitpid(2) to wait when the kernel has said that a child has ended. That is no wait, but for a child that a process of its
own user traces (ptrace(2)): that one stays until its tracer lets go, which is never, where somebody wants to hold us up.
"""

import asyncio
import os
import warnings
from collections.abc import Callable
from typing import Any

TRY_AGAIN = 0.2
"""Seconds until the next attempt at a child that cannot be reaped."""
_UNKNOWN = 255
"""What asyncio gives for a child that somebody else has reaped."""


def reap_patiently() -> None:
    """Have asyncio, in this process, wait for its children by pidfd, and never in waitpid(2). Later Pythons than 3.13 have no watchers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        watcher = asyncio.PidfdChildWatcher()
        # To inherit from it is deprecated.
        watcher.add_child_handler = _wait_for  # type: ignore[method-assign,assignment]
        asyncio.set_child_watcher(watcher)


def _wait_for(pid: int, callback: Callable[..., object], *arguments: Any) -> None:
    _look_later(os.pidfd_open(pid), pid, callback, arguments)


def _look_later(pidfd: int, *rest: Any) -> None:
    asyncio.get_event_loop().add_reader(pidfd, _look, pidfd, *rest)


def _look(pidfd: int, pid: int, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    loop = asyncio.get_running_loop()
    loop.remove_reader(pidfd)
    try:
        reaped, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        reaped, code = pid, _UNKNOWN
    else:
        code = os.waitstatus_to_exitcode(status) if reaped else 0
    if reaped == 0:
        loop.call_later(TRY_AGAIN, _look_later, pidfd, pid, callback, arguments)
        return
    os.close(pidfd)
    callback(pid, code, *arguments)
