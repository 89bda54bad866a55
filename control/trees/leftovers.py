"""What a run that was killed left behind: found by its run token, and ended before the next run begins."""

import contextlib
import os
import select
import signal
import time

import psutil
import structlog

from suptree.actors.kernel.cgroup import run_groups
from suptree.actors.kernel.process_texts import carries

from .paths import TreePaths
from .run_file import recorded, start_time
from .standing import RUN_VARIABLE, run_token

log = structlog.get_logger()

_WAIT = 5.0
_PAUSE = 0.01
_WAIT_FOR_ENDS = 1.0
_WAIT_FOR_EXECUTIONS = 1.0
_HELD_TOGETHER = 256


def processes_of(run_id: str) -> list[psutil.Process]:
    """Every process whose environment carries the run token."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and run_token(process.pid) == run_id:
                found.append(process)
    return found


def left_of(paths: TreePaths, run_id: str) -> list[psutil.Process]:
    """Every process of a run that has ended: processes that carry the token of the run, and processes that its launcher could not end."""
    found = {process.pid: process for process in processes_of(run_id)}
    last = recorded(paths)
    for pid, started in last.left if last is not None and last.run_id == run_id else ():
        if start_time(pid) == started:
            with contextlib.suppress(psutil.Error):
                found[pid] = psutil.Process(pid)
    return list(found.values())


def remove(paths: TreePaths) -> list[int]:
    """End what is left of the last run of this tree; return the pids. Call it with the tree's lock held, when `standing` says None."""
    last = recorded(paths)
    ended = [] if last is None else end(last.run_id)
    if last is not None and ended:
        log.warning("leftovers_ended", run_id=last.run_id, pids=ended)
    return ended


def end(run_id: str) -> list[int]:
    """Kill whatever carries the run token, or is in a control group of that run; return the pids that carried it."""
    ended = _end_by_token(run_id)
    groups = run_groups(run_id)
    deadline = time.monotonic() + _WAIT
    # A process that cleared its environment is still in its group; a group can be removed when what was killed in it is gone.
    while groups.exist and time.monotonic() < deadline:
        if groups.kill():
            time.sleep(_PAUSE)
        groups.remove()
    return ended


def _end_by_token(run_id: str) -> list[int]:
    ended: set[int] = set()
    began = time.monotonic()
    # What is killed may have forked meanwhile: until none is left.
    while time.monotonic() < began + _WAIT:
        _stop_all(run_id, began + _WAIT)
        held, unclear = _held(run_id)
        if not held:
            if not unclear or time.monotonic() > began + _WAIT_FOR_EXECUTIONS:
                break
            time.sleep(_PAUSE)
        try:
            for pid, pidfd in held.items():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    ended.add(pid)
            _wait_for_the_ends(list(held.values()), time.monotonic() + _WAIT_FOR_ENDS)
        finally:
            for pidfd in held.values():
                os.close(pidfd)
    return sorted(ended)


def _stop_all(run_id: str, until: float) -> None:
    """SIGSTOP whatever carries the run token, until a look finds nobody new: a stopped process forks no more, and SIGKILL ends it."""
    stopped: set[int] = set()
    before = -1
    while before < len(stopped) and time.monotonic() < until:
        before = len(stopped)
        for pid in psutil.pids():
            if pid != os.getpid() and pid not in stopped:
                with contextlib.suppress(OSError):
                    pidfd = os.pidfd_open(pid)
                    try:
                        if carries(pid, RUN_VARIABLE, run_id):
                            signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
                            stopped.add(pid)
                    finally:
                        os.close(pidfd)


def _held(run_id: str) -> tuple[dict[int, int], bool]:
    """Processes that carry the token, each with a pidfd that was opened before its environment was read; of many some.

    A pid alone would not do: its process may have ended since the environment was read, and the pid be another process's. And whether
    one could not be looked at, because it was in the middle of execve(2).
    """
    held: dict[int, int] = {}
    unclear = False
    for pid in psutil.pids():
        if pid == os.getpid() or len(held) >= _HELD_TOGETHER:
            continue
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(pid)
            carried = None
            try:
                carried = carries(pid, RUN_VARIABLE, run_id)
                unclear |= carried is None
            finally:
                if carried:
                    held[pid] = pidfd
                else:
                    os.close(pidfd)
    return held, unclear


def _wait_for_the_ends(pidfds: list[int], deadline: float) -> None:
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    left = set(pidfds)
    while left and (seconds := deadline - time.monotonic()) > 0:
        for pidfd, _ in poll.poll(seconds * 1000):
            poll.unregister(pidfd)
            left.discard(pidfd)
