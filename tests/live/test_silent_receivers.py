"""A supervisor that is frozen while its agents have much to say: nobody else is kept from hearing or from being heard."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from suptree.control.client.client import Client
from suptree.testing.live_tree import LiveTree

SAYS_STATUSES = Path(__file__).parents[1] / "programs" / "says_statuses.py"
AGENTS = 12
TREE = """
[supervisors.group]

[agents.quiet]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
heartbeat = { interval = 0.2, suspect_after = 1.0, dead_after = 2.0 }
""" + "".join(
    f"""
[agents.a{number}]
type = "process_wrapper"
command = {sys.executable!r}
args = [{str(SAYS_STATUSES)!r}]
supervisor = "group"
"""
    for number in range(AGENTS)
)
DEAD_AFTER = 20.0
# Statuses that each agent says meanwhile: more than enough for what bounds were once in Thespian, however many are merged.
_SAID = 100


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveTree]:
    monkeypatch.setenv("SUPTREE_DEAD_AFTER", str(DEAD_AFTER))
    with LiveTree(TREE) as found:
        found.wait_until_all_run(within=60)
        yield found


def supervisor_pid(status: dict[str, Any]) -> int | None:
    (pid,) = (row["actor_pid"] for row in status["supervisors"] if row["id"] == "group")
    assert pid is None or isinstance(pid, int)
    return pid


def test_the_heartbeat_actor_is_heard_while_a_supervisor_is_frozen_which_is_ended_as_hung(tree: LiveTree) -> None:
    before = tree.status()
    frozen = supervisor_pid(before)
    assert frozen is not None
    os.kill(frozen, signal.SIGSTOP)

    async def watch(client: Client) -> list[float | None]:
        ages: list[float | None] = []
        for _ in range(10):
            await asyncio.sleep(DEAD_AFTER / 25)  # what is said meanwhile is what this is about
            ages += [row["last_ping_age"] for row in (await client.status())["agents"] if row["id"] == "quiet"]
        return ages

    ages = tree.ask(watch)
    assert None not in ages
    assert max(age for age in ages if age is not None) < 2.0
    # It is not only heard: what it decides is done.
    quiet = tree.agent("quiet")["actor_pid"]
    os.kill(quiet, signal.SIGSTOP)
    tree.wait_until(lambda status: [row["actor_pid"] for row in status["agents"] if row["id"] == "quiet"] != [quiet], within=DEAD_AFTER / 2)
    assert supervisor_pid(tree.status()) == frozen
    tree.wait_until(lambda status: supervisor_pid(status) not in (frozen, None), within=2 * DEAD_AFTER)
    tree.wait_until_all_run(within=60)
    ends = [(event["id"], event["exit"]["class"]) for event in tree.events() if event["event"].endswith("_exited")]
    assert [("quiet", "hung"), ("group", "hung")] == [end for end in ends if end[0] in ("quiet", "group")]
    assert not psutil.pid_exists(frozen)
    assert before["pids"] == tree.status()["pids"]


def test_of_what_is_said_to_a_supervisor_that_is_frozen_for_a_while_the_newest_is_kept(tree: LiveTree) -> None:
    frozen = supervisor_pid(tree.status())
    assert frozen is not None
    os.kill(frozen, signal.SIGSTOP)

    async def freeze(client: Client) -> dict[str, list[tuple[int, int]]]:
        """The number of each status that is known, and how many were skipped before it, until each agent has had many skipped."""
        said: dict[str, list[tuple[int, int]]] = {}
        await asyncio.sleep(_SAID * 0.05)  # what is said meanwhile is what this is about
        os.kill(frozen, signal.SIGCONT)
        behind = {f"a{number}" for number in range(AGENTS)}
        async with asyncio.timeout(20):
            async for event in client.events(0):
                if event["event"] == "agent_status":
                    said.setdefault(event["id"], []).append((int(event["status"]), event["skipped"]))
                    if event["skipped"] > _SAID / 2:
                        behind.discard(event["id"])
                        if not behind:
                            break
        return said

    for said in tree.ask(freeze).values():
        # None is lost without being counted, and none comes twice or late.
        assert [later - earlier - 1 for (earlier, _), (later, _) in pairwise(said)] == [skipped for _, skipped in said[1:]]
    assert supervisor_pid(tree.status()) == frozen
