"""What a run that was killed left behind: found by its run token, and ended before the next run begins."""

import contextlib
import os
import select
import time

import psutil
import structlog

from suptree.actors.kernel.cgroup import run_groups
from suptree.actors.kernel.kill_below import kill_together, most_held, stop_held
from suptree.actors.kernel.linux import began
from suptree.actors.kernel.process_texts import carries

from .paths import TreePaths
from .run_file import recorded, start_time
from .standing import RUN_VARIABLE, run_token

log = structlog.get_logger()

_WAIT = 5.0
_PAUSE = 0.01
_WAIT_FOR_ENDS = 1.0
_WAIT_FOR_EXECUTIONS = 1.0


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
    if last is not None and ended and (left := processes_of(last.run_id)):
        log.error("leftovers_left", run_id=last.run_id, pids=[process.pid for process in left], why="they got SIGKILL and do not die")
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
    since = time.monotonic()
    # Somebody may let go on what was stopped, and that may fork before it is killed: until none is left.
    while time.monotonic() < since + _WAIT:
        held, unclear = _hold_all(run_id, since + _WAIT)
        if not held:
            if not unclear or time.monotonic() > since + _WAIT_FOR_EXECUTIONS:
                break
            time.sleep(_PAUSE)
        try:
            # Those that began last are killed first, so children before their parents: see `kill_below`.
            killed = kill_together([held[pid] for pid in sorted(held, key=lambda pid: (began(pid) or 0, pid), reverse=True)])
            ended |= {pid for pid, pidfd in held.items() if pidfd in killed}
            _wait_for_the_ends(list(held.values()), time.monotonic() + _WAIT_FOR_ENDS)
        finally:
            for pidfd in held.values():
                os.close(pidfd)
    return sorted(ended)


def _hold_all(run_id: str, until: float) -> tuple[dict[int, int], bool]:
    """Hold and stop (SIGSTOP) the processes that carry the token, until a look finds nobody new: a stopped process forks no more.

    And whether one could not be looked at, because it was in the middle of execve(2). Of very many processes some are held.
    """
    held: dict[int, int] = {}
    while True:
        before = len(held)
        unclear = _look(run_id, held)
        if len(held) == before or time.monotonic() > until:
            return held, unclear


def _look(run_id: str, held: dict[int, int]) -> bool:
    """Each with a pidfd that was opened before its environment was read.

    A pid alone would not do: its process may have ended since the environment was read, and the pid be another process's.
    """
    unclear, most = False, most_held()
    for pid in psutil.pids():
        if pid == os.getpid() or pid in held or len(held) >= most:
            continue
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(pid)
            carried = None
            try:
                carried = carries(pid, RUN_VARIABLE, run_id)
                unclear |= carried is None
            finally:
                if carried:
                    stop_held(pidfd)
                    held[pid] = pidfd
                else:
                    os.close(pidfd)
    return unclear


def _wait_for_the_ends(pidfds: list[int], deadline: float) -> None:
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    left = set(pidfds)
    while left and (seconds := deadline - time.monotonic()) > 0:
        for pidfd, _ in poll.poll(seconds * 1000):
            poll.unregister(pidfd)
            left.discard(pidfd)
