"""A service, a supervisor or the top supervisor that hangs: it is found, ended and replaced, and answers meanwhile say how old they are."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from suptree.testing.live_tree import LiveTree

TREE = """
[agents.a]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]

[supervisors.group]

[agents.b]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
supervisor = "group"

[agents.trap]
type = "process_wrapper"
command = "sh"
args = ["-c", "trap 'echo end >> hooked; exit 0' TERM INT; while :; do sleep 0.1; done"]
"""
DEAD_AFTER = 8.0


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveTree]:
    monkeypatch.setenv("SUPTREE_DEAD_AFTER", str(DEAD_AFTER))
    with LiveTree(TREE) as found:
        yield found


def pids(status: dict[str, Any]) -> dict[str, int | None]:
    """Those of all services and supervisors, where they are known."""
    return {**status["pids"], **{row["id"]: row["actor_pid"] for row in status["supervisors"]}}


def process(tree: LiveTree, name: str) -> int:
    """The pid of a service, of a supervisor, or of the foundation."""
    return int(pids(tree.status())[name] or 0)


def exits(tree: LiveTree, child: str) -> list[tuple[str, str]]:
    found: list[dict[str, Any]] = tree.ask(lambda client: client.known_events())
    ends = [event for event in found if event["event"].endswith("_exited") and event["id"] == child]
    return [(event["exit"]["class"], event["exit"]["reason"].partition(" for ")[0]) for event in ends]


@pytest.mark.parametrize("name", ["registry", "heartbeat", "group", "root"])
def test_one_that_is_frozen_is_ended_as_hung_and_replaced(tree: LiveTree, name: str) -> None:
    before = tree.status()
    pid = process(tree, name)
    os.kill(pid, signal.SIGSTOP)
    tree.wait_until(lambda status: pids(status) != pids(before), within=60)
    tree.wait_until_all_run(within=30)
    assert [("hung", "no ping from its actor")] == exits(tree, name)
    assert not psutil.pid_exists(pid)
    after = tree.status()
    assert before["pids"]["top"] == after["pids"]["top"]
    assert 0.0 == after["picture_age"]
    if name in ("registry", "heartbeat"):
        assert [row["pid"] for row in before["agents"]] == [row["pid"] for row in after["agents"]]


def test_while_the_registry_is_frozen_status_says_how_old_it_is_and_a_command_is_carried_out_when_it_is_replaced(tree: LiveTree) -> None:
    assert 0.0 == tree.status()["picture_age"]
    os.kill(process(tree, "registry"), signal.SIGSTOP)
    first = tree.status()["picture_age"]
    assert 0.0 < first < DEAD_AFTER
    assert first < tree.status()["picture_age"]
    begun = time.monotonic()
    tree.ask(lambda client: client.stop("a"))
    assert time.monotonic() - begun > DEAD_AFTER / 3
    assert "stopped" == tree.agent("a")["status"]


def test_a_supervisor_that_is_frozen_is_seen_in_the_status_and_its_stop_does_not_hang(tree: LiveTree) -> None:
    os.kill(process(tree, "group"), signal.SIGSTOP)
    ages = {row["id"]: row["last_ping_age"] for row in tree.status()["supervisors"]}
    assert {"root", "group"} == ages.keys()
    assert all(age < DEAD_AFTER for age in ages.values())
    tree.ask(lambda client: client.stop("group"))
    assert ["crashed"] == [row["status"] for row in tree.status()["supervisors"] if row["id"] == "group"]
    assert [("hung", "no ping from its actor")] == exits(tree, "group")
    assert "running" == tree.agent("a")["status"]


@pytest.mark.parametrize(
    ("name", "says"),
    [("group", "supervisor group has not answered for more than 5 s"), ("registry", "s old: the registry does not answer")],
)
def test_a_command_that_waits_for_one_that_is_frozen_says_so(tree: LiveTree, name: str, says: str) -> None:
    os.kill(process(tree, name), signal.SIGSTOP)
    done = subprocess.run(
        [str(Path(sys.executable).parent / "suptree"), "stop", "b"],
        env={**os.environ, "SUPTREE_HOME": str(tree.home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert says in done.stderr


def test_a_tree_whose_registry_is_frozen_ends_in_order(tree: LiveTree) -> None:
    os.kill(process(tree, "registry"), signal.SIGSTOP)
    assert 0 == tree.down()
    assert "end\n" == (tree.home / "hooked").read_text()


def test_the_launcher_ends_a_top_supervisor_that_is_frozen_and_says_so(tree: LiveTree) -> None:
    os.kill(process(tree, "top"), signal.SIGSTOP)
    assert 1 == tree.wait_for_end()
    assert "it was killed as hung" in Path(tree.launcher.paths.launcher_log).read_text()


def test_a_freeze_of_the_whole_tree_ends_nobody(tree: LiveTree) -> None:
    before = tree.status()
    launcher = psutil.Process(tree.launcher.process.pid)
    everyone = [launcher, *launcher.children(recursive=True)]
    for each in everyone:
        each.suspend()
    time.sleep(DEAD_AFTER * 1.5)  # no event can end it: this is the freeze
    for each in reversed(everyone):
        each.resume()
    time.sleep(DEAD_AFTER * 0.7)  # a false verdict would come by now
    after = tree.status()
    assert before["pids"] == after["pids"]
    for kind in ("agents", "supervisors"):
        assert [(row["id"], row["incarnation"]) for row in before[kind]] == [(row["id"], row["incarnation"]) for row in after[kind]]
