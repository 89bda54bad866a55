"""A start is tried again while something is short for the moment, and a program that ran before may be missing for a moment."""

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from suptree.testing import LiveTree
from tests.polling import poll_until

TREE = """
[tree]
name = "t"

[agents.a]
type = "process_wrapper"
command = "{command}"
args = ["1000000"]
hold = true
"""
PIDS = Path("/sys/fs/cgroup/pids")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program of its own."""
    return Path(shutil.copy("/bin/sleep", tmp_path / "sleeper"))


def log_of(tree: LiveTree) -> str:
    return (tree.launcher.paths.state / "logs" / "a.log").read_text()


def test_a_program_that_is_being_written_is_started_when_it_is_whole(program: Path) -> None:
    tree = LiveTree(TREE.format(command=program))
    log = tree.home / "trees" / "t" / "logs" / "a.log"

    def close_when_it_waits() -> None:
        with program.open("ab"):
            opened.set()
            poll_until(lambda: log.exists() and "tried again" in log.read_text(), 60)

    opened = threading.Event()
    closing = threading.Thread(target=close_when_it_waits)
    closing.start()
    opened.wait(10)
    with tree:
        agent = tree.wait_until_all_run(20)["agents"][0]
        closing.join()

        assert ("running", 1, 0, None) == (agent["status"], agent["incarnation"], agent["restarts"], agent["last_exit"])
        assert "Text file busy; it is tried again" in log_of(tree)


@pytest.mark.parametrize("away", ["missing", "a dangling link", "not executable"])
def test_a_program_that_is_replaced_while_it_restarts_is_not_held(program: Path, tmp_path: Path, away: str) -> None:
    with LiveTree(TREE.format(command=program)) as tree:
        first = tree.wait_until_all_run(20)["agents"][0]
        kept = program.rename(tmp_path / "kept")
        if away == "a dangling link":
            program.symlink_to("/nowhere/at/all")
        if away == "not executable":
            program.touch()
        os.kill(first["pid"], signal.SIGKILL)
        tree.wait_until(lambda s: s["agents"][0]["incarnation"] == 2)
        time.sleep(1.0)  # as long as an update may take
        kept.replace(program)

        agent = tree.wait_until(lambda s: s["agents"][0]["status"] == "running")["agents"][0]
        assert (2, False) == (agent["incarnation"], agent["held"])


def test_a_program_that_ran_before_and_stays_away_is_held_in_the_end_and_a_stop_does_not_wait_for_it(program: Path) -> None:
    tree_file = TREE.format(command=program) + "heartbeat = { startup_timeout = 3.0 }\n"
    with LiveTree(tree_file) as tree:
        first = tree.wait_until_all_run(20)["agents"][0]
        program.unlink()
        os.kill(first["pid"], signal.SIGKILL)

        agent = tree.wait_until(lambda s: s["agents"][0]["held"])["agents"][0]
        assert ("permanent", 2) == (agent["last_exit"]["class"], agent["incarnation"])


def is_removed(group: Path) -> bool:
    """Whether a group is gone, when its processes have been moved out of it; one that is ending keeps it for a moment."""
    for process in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (PIDS / "cgroup.procs").write_text(process)
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


@contextlib.contextmanager
def process_limit(pid: int, spare: int) -> Iterator[None]:
    """A control group with a process and what it forks from now on, in which there may be `spare` more."""
    group = PIDS / f"suptree-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(pid))
        (group / "pids.max").write_text(str(int((group / "pids.current").read_text()) + spare))
        yield
    finally:
        with contextlib.suppress(OSError):
            (group / "pids.max").write_text("max")
        poll_until(partial(is_removed, group), 10)


@pytest.mark.skipif(not os.access(PIDS / "tasks", os.W_OK), reason="no control group of processes that we may write to")
@pytest.mark.parametrize("spare", [0, 1])
def test_while_no_process_can_be_forked_a_start_waits_and_costs_nothing(program: Path, spare: int) -> None:
    with LiveTree(TREE.format(command=program)) as tree:
        first = tree.wait_until_all_run(20)["agents"][0]
        (root,) = (row["actor_pid"] for row in tree.status()["supervisors"] if row["id"] == "root")
        with process_limit(root, spare):
            os.kill(first["pid"], signal.SIGKILL)
            tree.wait_until(lambda s: s["agents"][0]["incarnation"] == 2)
            time.sleep(1.0)  # it is short for so long
            assert "running" != tree.agent("a")["status"]

        agent = tree.wait_until(lambda s: s["agents"][0]["status"] == "running", 20)["agents"][0]
        assert (2, 1, root) == (
            agent["incarnation"],
            agent["restarts"],
            next(row["actor_pid"] for row in tree.status()["supervisors"] if row["id"] == "root"),
        )
