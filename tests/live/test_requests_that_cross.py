"""Requests about one child that come while another one is being carried out, in a running tree: what a client is answered is what is so."""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest

from suptree.actors.errors import AlreadyRunning, StartFailed, SuptreeError
from suptree.control.client.client import Client
from suptree.testing import LiveTree

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
