"""Killing all that descends from a process, together: a program may fork faster than its processes can be killed one after the other."""

import asyncio
import contextlib
import os
import resource
import select
import signal
from collections.abc import Iterable, Mapping

from .linux import began, children_of, parent_of

_MOST_LOOKS = 50
"""A timer of its own, or another process of the same user, may let a stopped process go on (SIGCONT) without end."""
_TOGETHER = 100
"""So many are looked at before the loop has another turn."""


async def kill_below(parent: int, held: int | None = None, only: Mapping[int, int | None] | None = None) -> set[int]:
    """SIGKILL what descends from a process; return the pids of those that lived.

    All are stopped before (SIGSTOP), until a look finds nobody new: a stopped process forks no more. With `only`, some of the children of
    the process, by pid and with when each began, and what is below these. Where descriptors are short some are left out; what they leave
    behind becomes a child of the next subreaper above.

    `held` is a descriptor of the process (pidfd_open(2)), which is ours; without one it is this process, or an unreaped child of it. Raises
    OSError when there is no descriptor left.
    """
    found: dict[int, int] = {}
    top = os.pidfd_open(parent) if held is None else os.dup(held)
    try:
        for _ in range(_MOST_LOOKS):
            before = len(found)
            await _look(parent, top, only, found)
            if len(found) == before:
                break
        # Children before their parents: a process may have the kernel signal it when its parent dies, by SIGCONT too (PR_SET_PDEATHSIG).
        kill_together([*reversed(found.values())])
    finally:
        for pidfd in (top, *found.values()):
            os.close(pidfd)
    return set(found)


def kill_together(pidfds: Iterable[int]) -> set[int]:
    """SIGKILL the processes behind some descriptors, in that order, with nothing in between: those that live on may fork meanwhile.

    Return the descriptors of those that got it: they had not ended, and were ours to signal.
    """
    return {pidfd for pidfd in pidfds if kill_held(pidfd)}


def kill_held(pidfd: int) -> bool:
    """SIGKILL the process behind a descriptor; return whether it had not ended, and was ours to signal.

    Another process that has its pid by then is left alone, and so is one that runs as somebody else, by a set-user-ID program.
    """
    return _send(signal.SIGKILL, pidfd)


def stop_held(pidfd: int) -> bool:
    """The same with SIGSTOP."""
    return _send(signal.SIGSTOP, pidfd)


def _send(number: signal.Signals, pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except (PermissionError, ProcessLookupError):
        return False
    return True


def most_held() -> int:
    """How many processes may be held by descriptors at a time: half of the descriptors that this process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


async def _look(parent: int, top: int, only: Mapping[int, int | None] | None, found: dict[int, int]) -> None:
    """Stop what is found, and add it, parents before their children, with a descriptor of each."""
    to_go, looked_at, most = [(parent, top)], 0, most_held()
    while to_go:
        above, above_held = to_go.pop()
        for pid in children_of(above):
            if above != parent or only is None or only.get(pid) == began(pid):
                pidfd = found.get(pid) or _held_child(pid, above, above_held, most - len(found))
                if pidfd is not None:
                    # Again in each look: somebody may have let it go on.
                    stop_held(pidfd)
                    found[pid] = pidfd
                    to_go.append((pid, pidfd))
                looked_at += 1
                if looked_at % _TOGETHER == 0:
                    await asyncio.sleep(0)


def _held_child(pid: int, parent: int, parent_held: int, room: int) -> int | None:
    """A descriptor of a process that lives and is a child of one behind a descriptor."""
    if room <= 0:
        return None
    with contextlib.suppress(OSError):
        pidfd = os.pidfd_open(pid)
        # Looked at when it is held: it may have ended since it was listed, and its pid be another's; and so may the parent.
        if parent_of(pid) == parent and not has_ended(parent_held) and not has_ended(pidfd):
            return pidfd
        os.close(pidfd)
    return None


def has_ended(pidfd: int) -> bool:
    """Whether the process behind a descriptor has ended; it may not be reaped yet."""
    ends = select.poll()
    ends.register(pidfd, select.POLLIN)
    return bool(ends.poll(0))
