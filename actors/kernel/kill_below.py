"""Killing all that descends from a process: stopped first, for a program may fork faster than its processes can be killed."""

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Callable, Collection, Iterator
from functools import partial

from .linux import children_of, parent_of

_MOST_LOOKS = 50
"""Another process of the same user may let the stopped ones go on (SIGCONT) without end."""
_MOST_HELD = 200
_TOGETHER = 100
"""So many are looked at before the loop has another turn."""

_Signal = Callable[[int, int], None]
"""With the pid of a process, and a descriptor of the process."""


async def kill_below(parent: int, held: int | None = None, only: Collection[int] | None = None) -> set[int]:
    """SIGKILL what descends from a process; return the pids of those that lived.

    All are stopped before (SIGSTOP), until a look finds nobody new: a stopped process forks no more. With `only`, some of the children of
    the process, and what is below these. Where descriptors are short, or more than 200 at a time have children, some are left out; what
    they leave behind becomes a child of the next subreaper above.

    `held` is a descriptor of the process (pidfd_open(2)), which is ours; without one it is this process. Raises OSError when there is no
    descriptor left.
    """
    lived: set[int] = set()

    def stop(pid: int, pidfd: int) -> None:
        if not has_ended(pidfd):
            _send(signal.SIGSTOP, pid, pidfd)
            lived.add(pid)

    for _ in range(_MOST_LOOKS):
        before = len(lived)
        await _walk(parent, held, only, first=stop)
        if len(lived) == before:
            break
    if lived:
        await _walk(parent, held, only, last=partial(_send, signal.SIGKILL))
    return lived


def _nothing(_pid: int, _pidfd: int) -> None:
    pass


def _send(number: signal.Signals, _pid: int, pidfd: int) -> None:
    # One that runs as somebody else, by a set-user-ID program, may be none of ours to signal; what is below may be.
    with contextlib.suppress(PermissionError, ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)


async def _walk(
    parent: int, held: int | None, only: Collection[int] | None, *, first: _Signal = _nothing, last: _Signal = _nothing
) -> None:
    """Call `first` with each process before its children are looked at, and `last` when each that has children is held."""
    to_go = [(parent, os.pidfd_open(parent) if held is None else os.dup(held))]
    looked_at = 0
    try:
        while to_go:
            above, above_held = to_go.pop()
            try:
                for pid, pidfd in _held_children(above, above_held, only if above == parent else None):
                    first(pid, pidfd)
                    if len(to_go) < _MOST_HELD and children_of(pid):
                        to_go.append((pid, os.dup(pidfd)))
                    else:
                        last(pid, pidfd)
                    looked_at += 1
                    if looked_at % _TOGETHER == 0:
                        await asyncio.sleep(0)
                if above != parent:
                    last(above, above_held)
            finally:
                os.close(above_held)
    finally:
        for _, pidfd in to_go:
            os.close(pidfd)


def _held_children(parent: int, held: int, only: Collection[int] | None) -> Iterator[tuple[int, int]]:
    """The children of a process behind a descriptor, each with a descriptor that is open until the next is asked for."""
    for pid in children_of(parent):
        if only is None or pid in only:
            with contextlib.suppress(OSError):
                child = os.pidfd_open(pid)
                try:
                    # Looked at when it is held: it may have ended since it was listed, and its pid be another's; and so may the parent.
                    if parent_of(pid) == parent and not has_ended(held):
                        yield pid, child
                finally:
                    os.close(child)


def has_ended(pidfd: int) -> bool:
    """Whether the process behind a descriptor has ended; it may not be reaped yet."""
    ends = select.poll()
    ends.register(pidfd, select.POLLIN)
    return bool(ends.poll(0))
