"""Requests about one child that come while another one is being carried out, in a running tree: what a client is answered is what is so."""

import asyncio
import json
from collections.abc import Awaitable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from suptree.actors.errors import AlreadyRunning, StartFailed, SuptreeError
from suptree.control.client.client import Client
from suptree.supervisors.config.child_from_config import agent_child_from_config
from suptree.supervisors.spec.child_spec import ChildSpec
from suptree.testing import LiveTree, kill

READY_AT_THE_GATE = Path(__file__).parents[1] / "programs" / "ready_at_the_gate.py"

# Takes a second to stop.
TREE = """
[tree]
name = "crossing"
[agents.slow]
type = "process_wrapper"
command = "sh"
args = ["-c", "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done"]
stop = { cancel = 0, sigint = 0, sigterm = 20 }
"""

GROUP = """
[tree]
name = "group"
[supervisors.root]
strategy = "rest_for_one"
max_restarts = 50
within = 60
[agents.first]
type = "process_wrapper"
command = "python3"
args = ["-SE", PROGRAM, GATE]
ready = "notify"
heartbeat = { startup_timeout = 60 }
[supervisors.desk]
[supervisors.corner]
supervisor = "desk"
[agents.x]
type = "process_wrapper"
supervisor = "corner"
command = "sleep"
args = ["1000000"]
"""


@pytest.fixture
def tree() -> Iterator[LiveTree]:
    with LiveTree(TREE) as tree:
        yield tree


async def outcome(request: Awaitable[Any]) -> tuple[type[SuptreeError] | None, str]:
    try:
        await request
    except SuptreeError as refusal:
        return type(refusal), str(refusal)
    return None, "ok"


async def during_a_restart(client: Client, request: Awaitable[Any]) -> list[tuple[type[SuptreeError] | None, str]]:
    """The outcomes of a restart of `slow`, and of a request that comes while `slow` stops."""
    async with asyncio.timeout(30):
        seq = (await client.picture())["seq"]
        restart = asyncio.ensure_future(outcome(client.restart("slow")))
        async for event in client.events(seq):
            if event["event"] == "agent_stopping":
                break
        second = await outcome(request)
        return [await restart, second]


def test_a_child_that_is_being_restarted_is_not_deleted_and_stays_in_reach(tree: LiveTree) -> None:
    refused = AlreadyRunning, "'slow' is about to be restarted: stop it first"
    assert [(None, "ok"), refused] == tree.ask(lambda client: during_a_restart(client, client.delete("slow")))
    assert ("running", 2) == (tree.agent("slow")["status"], tree.agent("slow")["incarnation"])
    tree.ask(lambda client: client.stop("slow"))
    tree.ask(lambda client: client.delete("slow"))
    assert [] == tree.status()["agents"]


def test_after_a_stop_that_came_during_a_restart_nothing_runs(tree: LiveTree) -> None:
    refused = StartFailed, "'slow': it was stopped meanwhile"
    assert [refused, (None, "ok")] == tree.ask(lambda client: during_a_restart(client, client.stop("slow")))
    assert ("stopped", 1) == (tree.agent("slow")["status"], tree.agent("slow")["incarnation"])
    tree.ask(lambda client: client.start("slow"))
    assert "running" == tree.agent("slow")["status"]


def test_a_stop_below_a_supervisor_that_is_about_to_come_back_is_refused(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    with LiveTree(GROUP.replace("PROGRAM", json.dumps(str(READY_AT_THE_GATE))).replace("GATE", json.dumps(str(gate)))) as tree:
        gate.unlink()
        kill(tree.agent("first")["pid"])
        # `desk` starts again when `first` has.
        tree.wait_until(
            lambda s: any(row["id"] == "first" and (row["incarnation"], row["status"]) == (2, "starting") for row in s["agents"])
        )
        said = "'x': it is down with supervisor desk, which may be about to start it again: stop it when that runs"
        with pytest.raises(StartFailed, match=f"^{said}$"):
            tree.ask(lambda client: client.stop("x"))
        gate.touch()
        tree.wait_until_all_run()
        tree.ask(lambda client: client.stop("x"))
        assert "stopped" == tree.agent("x")["status"]
        # With a supervisor that stays down it does too.
        for supervisor in ("corner", "desk"):
            tree.ask(partial(Client.stop, agent_id=supervisor))
            tree.ask(lambda client: client.stop("x"))
            tree.ask(partial(Client.start, agent_id=supervisor))
            assert "running" == tree.agent("x")["status"]


def test_a_restart_runs_the_program_that_ran_and_not_one_whose_start_was_refused(tree: LiveTree) -> None:
    def sleeper(seconds: str) -> ChildSpec:
        return agent_child_from_config("sleeper", "process_wrapper", {"command": "sleep", "args": [seconds]}, "/")

    tree.ask(lambda client: client.start_new(sleeper("1000000")))
    with pytest.raises(AlreadyRunning):
        tree.ask(lambda client: client.start_new(sleeper("2000000")))
    tree.ask(lambda client: client.restart("sleeper"))
    row = tree.agent("sleeper")
    assert (2, ["sleep", "1000000"]) == (row["incarnation"], psutil.Process(row["pid"]).cmdline())
