"""What a run that was killed left behind: found by its run token, and ended before the next run begins."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable

import psutil
import structlog

from suptree.actors.kernel.cgroup import run_groups
from suptree.actors.kernel.private_files import open_in_folder, open_to_read

from .paths import TreePaths

log = structlog.get_logger()

RUN_VARIABLE = "SUPTREE_RUN_ID"
_WAIT = 5.0
_PAUSE = 0.01


def write_run(paths: TreePaths, run_id: str, left: Iterable[int] = ()) -> None:
    """Write down who runs the tree, and at its end what is `left` of it: processes that do not die."""
    started: dict[int, float] = {}
    for pid in left:
        with contextlib.suppress(psutil.Error):
            started[pid] = psutil.Process(pid).create_time()
    run = {"tree": paths.name, "run_id": run_id, "pid": os.getpid(), "socket": str(paths.control_socket), "left": list(started.items())}
    text = json.dumps(run)
    draft = paths.run_file.with_suffix(".new")
    with os.fdopen(open_in_folder(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    draft.replace(paths.run_file)


def read_run(paths: TreePaths) -> dict[str, object] | None:
    """Who runs the tree, or ran it last; None when nobody ever did, or what is written of it is no use."""
    try:
        with open_to_read(paths.run_file) as file:
            run = json.loads(file.read())
    except (OSError, ValueError):
        return None
    match run:
        case {"run_id": str(), "pid": int(pid)} if pid > 0:
            return dict(run)
    return None


def processes_of(run_id: str) -> list[psutil.Process]:
    """Every process whose environment carries the run token."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(RUN_VARIABLE) == run_id:
                found.append(process)
    return found


def left_of(paths: TreePaths, run_id: str) -> list[psutil.Process]:
    """Every process of a run that has ended: those that carry its token, and those that its launcher could not end."""
    found = {process.pid: process for process in processes_of(run_id)}
    run = read_run(paths) or {}
    written = run.get("left") if run.get("run_id") == run_id else None
    for entry in written if isinstance(written, list) else ():
        match entry:
            case [int(pid), float(started)]:
                with contextlib.suppress(psutil.Error):
                    process = psutil.Process(pid)
                    if process.create_time() == started:
                        found[pid] = process
    return list(found.values())


def remove(paths: TreePaths) -> list[int]:
    """End what is left of the last run of this tree; return the pids. Call it with the tree's lock held."""
    last = read_run(paths)
    if last is None:
        return []
    ended = end(str(last["run_id"]))
    groups = run_groups(str(last["run_id"]))
    deadline = time.monotonic() + _WAIT
    # Whoever cleared its environment is still in its group; a group can be removed when what was killed in it is gone.
    while groups.exist and time.monotonic() < deadline:
        groups.kill()
        groups.remove()
        time.sleep(_PAUSE)
    if ended:
        log.warning("leftovers_ended", run_id=last["run_id"], pids=ended)
    return ended


def end(run_id: str) -> list[int]:
    """Kill whatever carries the run token; return the pids."""
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
