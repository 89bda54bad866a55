"""What a run that was killed left behind: found by its run token, and ended before the next run begins."""

import contextlib
import os
import signal
import time

import psutil
import structlog

from suptree.actors.kernel.cgroup import run_groups

from .paths import TreePaths
from .run_file import recorded, start_time
from .standing import run_token

log = structlog.get_logger()

_WAIT = 5.0
_PAUSE = 0.01


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
        groups.kill()
        groups.remove()
        time.sleep(_PAUSE)
    return ended


def _end_by_token(run_id: str) -> list[int]:
    ended: set[int] = set()
    deadline = time.monotonic() + _WAIT
    # What is killed may have forked meanwhile: until none is left.
    while (left := processes_of(run_id)) and time.monotonic() < deadline:
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
                ended.add(process.pid)
        psutil.wait_procs(left, timeout=1.0)
    return sorted(ended)
