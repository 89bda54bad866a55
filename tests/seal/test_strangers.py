"""Whatever strangers say to whichever socket of a running tree: nothing happens, little is kept, and crashes are repaired as ever."""

import asyncio
import contextlib
import itertools
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from suptree.actors.events.wording import line
from suptree.control.client.client import Client
from suptree.control.seal.tree_key import tree_key
from suptree.testing import LiveTree, kill
from tests.polling import poll_until

from .kernel_sockets import sockets_of
from .sealed_tree import fleet
from .strangers import ATTACKS, FOR_SEALED_ONLY, SLOW_FOR, Connections, Target, drip, one_byte_a_second, thespian_frame

REPAIRED_WITHIN = 2.0
GROWS_BY_LESS_THAN = 10 * 1024 * 1024


@pytest.fixture(scope="module")
def tree() -> Iterator[LiveTree]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    with fleet() as running:
        running.wait_until_all_run()
        yield running
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def targets(tree: LiveTree, folder: Path) -> list[Target]:
    """Every socket of the tree that listens, with the process that has it."""
    status = tree.status()
    rows = {row["actor_pid"]: row["id"] for row in (*status["agents"], *status["supervisors"])}
    names = {**rows, **{pid: name for name, pid in status["pids"].items()}}
    key = tree_key(tree.launcher.paths.state)
    # The admin and the logger have what the launcher had when they were forked.
    listening = {(one.address, one.port): one for one in sockets_of(p.pid for p in tree.processes()) if one.listens}
    return [
        Target((address, port) if one.family == "tcp" else address, names[one.pid], key, folder / f"canary of {names[one.pid]}")
        for (address, port), one in listening.items()
    ]


def private_memory(tree: LiveTree) -> dict[int, int]:
    found = {}
    for process in tree.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            found[process.pid] = process.memory_full_info().uss
    return found


def pids_of_agents(tree: LiveTree) -> dict[str, tuple[int, int]]:
    return {row["id"]: (row["pid"], row["actor_pid"]) for row in tree.status()["agents"]}


def repair(tree: LiveTree) -> float:
    """Kill a program; return how many seconds passed until it ran again."""
    before = tree.agent("victim")
    began = time.monotonic()
    kill(before["pid"])
    tree.wait_until(lambda s: next(row for row in s["agents"] if row["id"] == "victim")["incarnation"] > before["incarnation"], 20)
    after = tree.wait_until_all_run()
    again = next(event for event in reversed(tree.events()) if event["event"] == "agent_started" and event["id"] == "victim")
    assert after["ready"]
    return float(again["monotonic"]) - began


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_stranger_has_no_effect(tree: LiveTree, tmp_path: Path, attack: str) -> None:
    make, why = ATTACKS[attack]
    attacked = [target for target in targets(tree, tmp_path) if target.is_sealed or make not in FOR_SEALED_ONLY]
    sealed = [target for target in attacked if target.is_sealed]
    # The admin, the logger, three services, two supervisors and three agents.
    assert 10 == len(sealed)
    refused_before = tree.status()["refused"]
    pids, memory = pids_of_agents(tree), private_memory(tree)

    open_ones: dict[str, Connections] = {target.name: make(target) for target in attacked}
    assert pids == pids_of_agents(tree)
    took = repair(tree)
    if make is one_byte_a_second:
        left = drip([one for connections in open_ones.values() for one in connections], SLOW_FOR)
        assert [] == [one for target in sealed for one in open_ones[target.name] if one in left]

    grown = {pid: size - memory[pid] for pid, size in private_memory(tree).items() if pid in memory}
    assert [] == list(tmp_path.iterdir())
    assert took < REPAIRED_WITHIN
    assert max(grown.values()) < GROWS_BY_LESS_THAN, grown

    def counted(refused: dict[str, dict[str, int]], target: Target) -> int:
        return refused.get(f"actor {target.name}", {}).get(why.value, 0)

    # The actor of the victim, and what was said to it, goes with its program.
    sealed = [target for target in sealed if target.name != "victim"]

    def all_counted() -> bool:
        refused = tree.status()["refused"]
        return all(counted(refused, target) > counted(refused_before, target) for target in sealed)

    # It is counted immediately, and reported within a second; there is an event only every five.
    poll_until(all_counted, 10, lambda: tree.status()["refused"])
    for connections in open_ones.values():
        for one in connections:
            one.close()
    now = pids_of_agents(tree)
    assert {name: both for name, both in pids.items() if name != "victim"} == {name: both for name, both in now.items() if name != "victim"}


def test_the_journal_says_what_was_refused_and_by_whom(tree: LiveTree, tmp_path: Path) -> None:
    attacked = [target for target in targets(tree, tmp_path) if target.is_sealed]
    for target in attacked:
        thespian_frame(target)
    doors = {f"actor {target.name}" for target in attacked}
    refused = tree.wait_until(lambda s: doors <= s["refused"].keys())["refused"]

    async def answered(client: Client) -> dict[str, Any]:
        async with asyncio.timeout(20):
            return await anext(event async for event in client.events() if event.get("refused") == refused)

    event = tree.ask(answered)
    assert "tree_refused" == event["event"]
    assert all(counts["unsealed"] > 0 for door, counts in event["refused"].items() if door in doors)
    assert all(f"{door}: " in line(event) for door in doors)
    # However many there were, a line every five seconds.
    moments = [event["monotonic"] for event in tree.events() if event["event"] == "tree_refused"]
    assert all(later - earlier > 4.5 for earlier, later in itertools.pairwise(moments))
