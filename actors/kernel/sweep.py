"""Ending what a dead child left behind.

Every actor that owns processes is a subreaper, so whatever its child forked becomes its own child when the child dies, however
often it double-forked. What is among our children without being one that we keep is therefore provably ours, and an orphan.
"""

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TypeVar

from .end_below import EndBelow
from .kill_below import kill_below
from .linux import began, own_children
from .traced_threads import reap_all_traced_threads, reap_traced_threads

_UNKILLABLE_AFTER = 5.0
_REAP_AGAIN = _LOOK_AGAIN = 0.2
_TOGETHER = 100
"""So many are waited for at a time: each needs a descriptor, and what is left behind may be more than there are descriptors."""

_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_Found = TypeVar("_Found")


async def _patiently(look: Callable[[], _Found]) -> _Found:
    """What a look at processes finds: as soon as descriptors and memory are no longer short. Raises every other OSError."""
    while True:
        try:
            return look()
        except OSError as error:
            if error.errno not in _SHORT:
                raise
        await asyncio.sleep(_REAP_AGAIN)


def hold(pid: int) -> int:
    """A descriptor of a process (pidfd_open(2)). Raises ProcessLookupError when there is none, or its pid is that of a thread by now."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        # Of a thread kernels say either.
        if error.errno in (errno.ENOENT, errno.EINVAL):
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from None
        raise


async def pidfd_readable(pidfd: int) -> None:
    """Return when the process behind the descriptor has ended."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)


async def process_ended(pid: int) -> None:
    """Return when a process has ended; somebody else reaps it."""
    with contextlib.suppress(ProcessLookupError):
        pidfd = await _patiently(partial(hold, pid))
        try:
            await pidfd_readable(pidfd)
        finally:
            os.close(pidfd)


async def end_child(pid: int, began_at: int | None = None) -> None:
    """SIGKILL a child that nobody else waits for, and return when it is dead and reaped.

    With when it began, no other child is ended that has got its pid since, as one may when another sweep has reaped it.
    """
    try:
        pidfd = await _patiently(partial(hold, pid))
    except ProcessLookupError:
        return
    try:
        if began_at is not None and began(pid) != began_at:
            return
        # Somebody may have reaped it before it was opened, and its pid be another's: that one is no child of ours.
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # noqa: ASYNC222  (this does not wait)
        # One that runs as somebody else, by a set-user-ID program, may be none of ours to signal: then it ends when it likes.
        with contextlib.suppress(PermissionError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        below = EndBelow(asyncio.get_running_loop(), pid, pidfd)
        try:
            await pidfd_readable(pidfd)
        finally:
            below.cancel()
        # Another process may trace it (ptrace(2)): then it has ended, and stays until that one lets go of it.
        while os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG) is None:  # noqa: ASYNC110, ASYNC222  (no event says so)
            await asyncio.sleep(_REAP_AGAIN)
    except (ProcessLookupError, ChildProcessError):
        pass
    finally:
        os.close(pidfd)


def _unnoted(_pid: int) -> None:
    pass


def _orphans(keep: Callable[[], Collection[int]]) -> dict[int, int | None]:
    """By pid when each began: by the time when it is ended, another sweep may have reaped it, and its pid be that of a child to keep."""
    # In this order: what comes up in between is not ended. And `keep` may have to look at each of them.
    children = own_children()
    kept = set(keep())
    return {pid: began(pid) for pid in children if pid not in kept}


async def sweep(
    keep: Callable[[], Collection[int]], stuck: Callable[[list[int]], None] | None = None, note: Callable[[int], None] = _unnoted
) -> list[int]:
    """Kill every child but the kept ones, and theirs as they come up, until none is left; return the pids that were ended.

    `stuck` is called with the pids that have not died some seconds after their SIGKILL, which only the kernel can delay; the sweep waits,
    unless they are kept by now.
    `note` is called with each pid before it is ended, while it can still be looked at.
    """
    swept: list[int] = []
    ending: dict[int, asyncio.Task[None]] = {}
    timers: list[asyncio.TimerHandle] = []
    room = asyncio.Semaphore(_TOGETHER)
    loop = asyncio.get_running_loop()

    async def end(pid: int, began_at: int | None) -> None:
        async with room:
            await end_child(pid, began_at)

    while True:
        orphans = await _patiently(partial(_orphans, keep))
        if not orphans and not ending:
            break
        await _kill({pid: began_at for pid, began_at in orphans.items() if pid not in ending}, note)
        begun: dict[int, asyncio.Task[None]] = {}
        for pid, began_at in orphans.items():
            # Not one waits for room to be reaped: others may wait in the kernel for that, as the first process of a pid namespace does for
            # all in there.
            if _reaped(pid, began_at):
                swept.append(pid)
                if pid in ending:
                    ending.pop(pid).cancel()
            elif pid not in ending:
                begun[pid] = loop.create_task(end(pid, began_at))
        if begun:
            timers.append(loop.call_later(_UNKILLABLE_AFTER, _say_stuck, begun, keep, stuck))
            ending |= begun
        # For a while only: what comes up meanwhile is ended too.
        done = (await asyncio.wait(ending.values(), timeout=_LOOK_AGAIN))[0] if ending else set()
        for pid, task in list(ending.items()):
            if task in done:
                del ending[pid]
                if not task.cancelled():
                    task.result()
                    swept.append(pid)
    for timer in timers:
        timer.cancel()
    return swept


async def _kill(children: Mapping[int, int | None], note: Callable[[int], None]) -> None:
    """All together, and what is below them; where descriptors are short, each will be killed in its turn."""
    for pid in children:
        note(pid)
    if children:
        with contextlib.suppress(OSError):
            await kill_below(os.getpid(), only=children)


def _reaped(pid: int, began_at: int | None) -> bool:
    """Whether a child has ended; it is reaped with this."""
    try:
        return began(pid) == began_at and os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def _say_stuck(
    begun: dict[int, asyncio.Task[None]], keep: Callable[[], Collection[int]], stuck: Callable[[list[int]], None] | None
) -> None:
    ending = {pid: task for pid, task in begun.items() if not task.done()}
    if not ending:
        return
    kept = set(keep())
    for pid in ending.keys() & kept:
        # Another sweep has met it too, and waits for it.
        ending[pid].cancel()
    there = set(own_children()) & ending.keys() - set(kept)
    if there and stuck is not None:
        stuck(sorted(there))


def reap_zombies(keep: Collection[int]) -> None:
    """Reap the adopted children that have ended by themselves; those to keep are waited for elsewhere."""
    children = own_children()
    reap_all_traced_threads(children)
    for pid in children:
        reap_traced_threads(pid)
        if pid not in keep:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
