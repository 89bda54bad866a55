"""How the last run of a tree ended, as its launcher wrote it down."""

import os
from typing import Any

from suptree.actors.errors import RunsElsewhere
from suptree.actors.events.json_values import read_json
from suptree.actors.kernel.private_files import open_to_read

from .paths import TreePaths
from .run_file import Place, Run, recorded
from .standing import standing

_READ_AT_MOST = 1024 * 1024


def how_it_ended(paths: TreePaths) -> str | None:
    """Why a tree that does not run was not stopped in order; None when its last run ended on request, wrote nothing down, or runs on."""
    run = recorded(paths)
    return _gave_up(paths) if run is None or run.ended is not False else _was_killed(paths, run)


def _was_killed(paths: TreePaths, run: Run) -> str | None:
    """What is known of a run whose launcher did not come to its end."""
    here = Place.here()
    same_boot = run.place.boot == here.boot
    try:
        if standing(paths) is not None or not (same_boot or run.place.host == here.host):
            return None
    except RunsElsewhere:
        return None
    if same_boot:
        why = f"its launcher (pid {run.pid}) ended without noting that, as one does that is killed (SIGKILL, or no memory: see `dmesg`)"
    else:
        why = "it ended with the machine, which was started again since"
    return f"tree {paths.name!r} was not stopped in order: {why}"


def _gave_up(paths: TreePaths) -> str | None:
    """When a tree gave up, and the event that led to it."""
    ending: dict[str, Any] = {}
    for entry in _entries(paths):
        if entry.get("event") == "tree_gave_up":
            ending = entry
        elif entry.get("event") == "processes_left" or (entry.get("event") == "tree_ended" and entry.get("status") == 0):
            # What is said of a run before is said of that alone.
            ending = {}
    # What is stopped after it comes later in the story, and is no reason.
    why = ending.get("why")
    if not isinstance(why, str):
        return None
    return f"tree {paths.name!r} gave up at {ending.get('timestamp', 'an unknown time')}: {why} (all of it: {paths.launcher_log})"


def _entries(paths: TreePaths) -> list[dict[str, Any]]:
    """The last JSON lines of a launcher's log."""
    try:
        with open_to_read(paths.launcher_log) as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _READ_AT_MOST))
            lines = log.read().splitlines()
    except OSError:
        return []
    return [entry for line in lines if line.startswith(b"{") and isinstance(entry := _entry(line), dict)]


def _entry(line: bytes) -> Any:
    try:
        return read_json(line)
    except ValueError:
        return None
