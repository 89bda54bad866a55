"""A program that holds the lock of its output pipe: its actor waits in the kernel, and not even SIGKILL ends it before the program."""

import sys
from pathlib import Path

import psutil
import pytest

from suptree.testing import LiveTree
from tests.polling import poll_until

WITHIN = 60.0
PROGRAM = Path(__file__).parents[1] / "programs" / "holds_its_pipe.py"


@pytest.fixture(params=["with control groups", "without"])
def tree(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "without":
        monkeypatch.setenv("SUPTREE_CGROUPS", "off")
    return f"""
[supervisors.root]
max_restarts = 10
[supervisors.group]
supervisor = "root"
max_restarts = 10
[agents.holds]
supervisor = "group"
type = "process_wrapper"
command = "{sys.executable}"
args = ["-SE", "{PROGRAM}"]
stop = {{ cancel = 0, sigint = 0.2, sigterm = 0.2 }}
[agents.other]
type = "process_wrapper"
command = "sleep"
args = ["1000"]
"""


def wait_until_it_waits(tree: LiveTree) -> psutil.Process:
    """The actor, once it waits in the kernel for longer than a moment."""
    actor = psutil.Process(tree.agent("holds")["actor_pid"])

    def waits() -> bool:
        return all(actor.status() == psutil.STATUS_DISK_SLEEP for _ in range(1000))

    poll_until(waits, WITHIN)
    return actor


def test_its_actor_is_hung_and_both_are_ended_and_it_begins_again(tree: str) -> None:
    heartbeat = "heartbeat = { interval = 0.2, suspect_after = 1, dead_after = 2 }\n"
    with LiveTree(tree.replace("[agents.other]", f"{heartbeat}[agents.other]")) as running:
        running.wait_until_all_run(WITHIN)
        wait_until_it_waits(running)
        status = running.wait_until(lambda s: s["agents"][0]["incarnation"] > 1, WITHIN)
        assert "hung" == status["agents"][0]["last_exit"]["class"]
        assert 1 == running.agent("other")["incarnation"]


def test_a_stop_of_it_ends_and_so_does_one_of_the_tree(tree: str) -> None:
    with LiveTree(tree) as running:
        running.wait_until_all_run(WITHIN)
        actor = wait_until_it_waits(running)
        running.ask(lambda client: client.stop("holds"))
        assert "stopped" == running.agent("holds")["status"]
        assert not actor.is_running()
        running.ask(lambda client: client.start("holds"))
        wait_until_it_waits(running)


def test_the_death_of_its_supervisor_leaves_nothing_and_both_begin_again(tree: str) -> None:
    with LiveTree(tree) as running:
        running.wait_until_all_run(WITHIN)
        actor = wait_until_it_waits(running)
        (supervisor,) = (row["actor_pid"] for row in running.status()["supervisors"] if row["id"] == "group")
        psutil.Process(supervisor).kill()
        poll_until(lambda: not actor.is_running(), WITHIN)
        running.wait_until(lambda status: status["agents"][0]["status"] == "running", WITHIN)
        wait_until_it_waits(running)
