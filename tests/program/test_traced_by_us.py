"""A program has one of its threads traced by its parent, which is a process of ours (PTRACE_TRACEME): it ends as any other program does."""

import asyncio
import ctypes
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from suptree.actors.kernel.sweep import sweep
from suptree.testing import LiveTree
from tests.polling import poll_until

PROGRAM = Path(__file__).parents[1] / "programs" / "traced_by_its_parent.py"
TREE = f"""
[tree]
name = "traced"

[agents.a]
type = "process_wrapper"
command = {str(sys.executable)!r}
args = ["-ISE", {str(PROGRAM)!r}, ARGUMENTS]
restart = "temporary"
stop = {{ cancel = 0, sigint = 0, sigterm = 0.2 }}
"""
_PR_SET_CHILD_SUBREAPER = 36


@pytest.mark.parametrize(("arguments", "why"), [('"exits", "3"', "exit 3"), ('"exits", "0"', "exit 0"), ('"after", "3"', "exit 3")])
def test_its_end_is_noticed(arguments: str, why: str) -> None:
    with LiveTree(TREE.replace("ARGUMENTS", arguments)) as tree:
        ended = tree.wait_until(lambda s: s["agents"][0]["status"] not in ("starting", "running"), 20)["agents"][0]
        assert (why, None) == (ended["last_exit"]["reason"], ended["last_exit"]["signal"])


def test_it_is_stopped_as_any_other() -> None:
    with LiveTree(TREE.replace("ARGUMENTS", '"waits"')) as tree:
        tree.wait_until_all_run()
        log = tree.launcher.paths.state / "logs" / "a.log"
        poll_until(lambda: log.exists() and "traced" in log.read_text(), 10)
        tree.ask(lambda client: client.stop("a"))
        assert "stopped" == tree.agent("a")["status"]


def test_what_it_leaves_behind_is_swept(tmp_path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    # As an actor does: what is left behind becomes ours.
    assert 0 == libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    stuck: list[int] = []
    try:
        with (tmp_path / "said").open("w") as said:
            assert 4 == subprocess.call([sys.executable, "-ISE", PROGRAM, "leaves", "0.1"], stdout=said, timeout=60)
    finally:
        asyncio.run(asyncio.wait_for(sweep(tuple, stuck.extend), 20))
        assert 0 == libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    assert ([], []) == (psutil.Process().children(), stuck)
