"""A client that has an answer sees a picture at least as new."""

import os
import signal
from collections.abc import Iterator

import pytest

from suptree.actors.errors import AskFailed, InputRefused, RequestTimeout
from suptree.control.client.client import Client
from suptree.testing.live_tree import LiveTree

ORACLE = """
import asyncio, os, signal
from suptree.actors.errors import Failed

class Oracle:
    async def ask(self, prompt):
        if prompt == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if prompt == "fail":
            raise Failed("out of luck")
        await asyncio.sleep(1000)

def make(*_):
    return Oracle()
"""
TREE = """
[supervisors.root]
max_restarts = 1000

[agents.oracle]
type = "native_llm"
factory = "oracle_of_the_test:make"

[supervisors.group]
""" + "".join(
    f"""
[agents.b{number}]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
supervisor = "group"
"""
    for number in range(8)
)


@pytest.fixture(scope="module")
def tree() -> Iterator[LiveTree]:
    found = LiveTree(TREE)
    (found.home / "oracle_of_the_test.py").write_text(ORACLE)
    with found:
        yield found


@pytest.mark.parametrize("prompt", ["die", "fail", "wait"])
def test_a_client_whose_answer_is_about_an_end_sees_that_end(tree: LiveTree, prompt: str) -> None:
    tree.wait_until_all_run(within=30)

    async def talk(client: Client) -> list[int | None]:
        pids = []
        for _ in range(3):
            pids.append((await client.agent("oracle"))["actor_pid"])
            if prompt == "wait":
                os.kill(pids[-1], signal.SIGSTOP)
                os.kill(pids[-1], signal.SIGKILL)
            # A question that comes after the end is refused, or taken by the next incarnation, which never answers.
            with pytest.raises(AskFailed if prompt != "wait" else (AskFailed, InputRefused, RequestTimeout)):
                await client.ask("oracle", prompt, timeout=60 if prompt != "wait" else 3)
            pids.append((await client.agent("oracle"))["actor_pid"])
            async for event in client.events(0):
                if event["event"] == "agent_started" and event["id"] == "oracle" and event["pid"] is None:
                    row = await client.agent("oracle")
                    if row["status"] == "running" and row["actor_pid"] != pids[-2]:
                        break
        return pids

    pids = tree.ask(talk)
    assert [True] * 3 == [before != after for before, after in zip(pids[::2], pids[1::2], strict=True)]


def test_a_supervisor_that_was_started_is_seen_with_all_below_it(tree: LiveTree) -> None:
    tree.wait_until_all_run(within=30)

    async def talk(client: Client) -> list[set[str]]:
        seen = []
        for _ in range(5):
            await client.restart("group")
            rows = (await client.picture())["rows"]
            seen.append({row["status"] for row in rows if row["id"].startswith("b")})
            await client.stop("group")
            rows = (await client.picture())["rows"]
            seen.append({row["status"] for row in rows if row["id"].startswith("b")})
        await client.start("group")
        return seen

    assert [{"running"}, {"stopped"}] * 5 == tree.ask(talk)
