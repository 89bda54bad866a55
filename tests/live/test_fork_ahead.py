"""The process that is forked for the next child while one starts: it is used, or nothing is left of it."""

import json
import sys
from pathlib import Path
from typing import Any

import psutil

from suptree.testing import LiveTree, kill

NOTIFIES = Path(__file__).parents[1] / "programs" / "notifies.py"
WITHIN = 60.0

TREE = f"""
[tree]
name = "ahead"

[supervisors.root]
strategy = "one_for_all"
max_restarts = 5

[agents.first]
type = "process_wrapper"
command = "sh"
args = ["-c", {json.dumps(f"[ $SUPTREE_RESTART_COUNT = 1 ] && exec sleep 1000000; exec {sys.executable} -SE {NOTIFIES} READY=1")}]
ready = "notify"
heartbeat = {{ startup_timeout = 50 }}
stop = {{ cancel = 0, sigint = 0, sigterm = 1 }}

[agents.second]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
"""


def actor(status: dict[str, Any], agent: str) -> int:
    return next(int(row["actor_pid"]) for row in status["agents"] if row["id"] == agent)


def waiting(status: dict[str, Any]) -> set[int]:
    """The processes below the root supervisor that are nobody yet."""
    root = next(row["actor_pid"] for row in status["supervisors"] if row["id"] == "root")
    return {child.pid for child in psutil.Process(root).children()} - {row["actor_pid"] for row in status["agents"]}


def restarting(tree: LiveTree) -> dict[str, Any]:
    """Its first agent is being started again, and does not get ready; meanwhile a process for the second has been forked."""
    before = tree.wait_until_all_run(WITHIN)
    kill(actor(before, "first"))
    return tree.wait_until(lambda s: s["agents"][0]["incarnation"] == 2 and bool(s["agents"][0]["pid"] and waiting(s)), WITHIN)


def test_what_was_forked_ahead_ends_with_the_tree() -> None:
    with LiveTree(TREE) as tree:
        restarting(tree)
        assert 0 == tree.down()
        tree.expect_nothing_left()


def test_what_was_forked_ahead_becomes_the_next_child() -> None:
    with LiveTree(TREE) as tree:
        status = restarting(tree)
        ahead = waiting(status)
        kill(actor(status, "first"))
        after = tree.wait_until(lambda s: all(row["status"] == "running" for row in s["agents"]), WITHIN)
        # The third incarnation of the first agent was forked anew, or is the process that was waiting.
        assert [3, 2] == [row["incarnation"] for row in after["agents"]]
        assert set() == waiting(after)
        assert 1 == len(ahead)


def test_a_process_that_dies_before_it_is_anybody_is_a_start_that_failed() -> None:
    with LiveTree(TREE) as tree:
        status = restarting(tree)
        for pid in waiting(status):
            kill(pid)
        kill(actor(status, "first"))
        after = tree.wait_until(lambda s: all(row["status"] == "running" for row in s["agents"]), WITHIN)
        assert set() == waiting(after)
