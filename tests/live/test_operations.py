"""What may be asked of a supervisor in a running tree, and that everything that is asked is answered."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from suptree.control.client.client import Client
from suptree.supervisors.config.agent_config import agent_child_from_config
from suptree.testing import LiveTree

TREE = """
[tree]
name = "operations"
[agents.sleeper]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
"""


@pytest.fixture(scope="module")
def tree() -> Iterator[LiveTree]:
    with LiveTree(TREE) as tree:
        yield tree


def asked(tree: LiveTree, operation: str, target: str) -> dict[str, Any]:
    async def ask(client: Client) -> dict[str, Any]:
        async with asyncio.timeout(20):
            return await client.request(operation, target)

    answer = tree.ask(ask)
    return {key: answer[key] for key in ("answer", "value")}


def test_a_supervisor_is_asked_for_its_children(tree: LiveTree) -> None:
    assert {"answer": "ok", "value": [1, 1]} == asked(tree, "count_children", "root")


@pytest.mark.parametrize("operation", ["which_children", "count_children"])
def test_an_operation_for_supervisors_is_refused_for_an_agent(tree: LiveTree, operation: str) -> None:
    refusal = f"sleeper is no supervisor: {operation} is for supervisors"
    assert {"answer": "refused", "value": refusal} == asked(tree, operation, "sleeper")


def test_a_child_of_an_agent_is_refused(tree: LiveTree) -> None:
    spec = agent_child_from_config("other", "process_wrapper", {"command": "sleep", "args": ["1000000"]}, "/")

    async def ask(client: Client) -> dict[str, Any]:
        async with asyncio.timeout(20):
            return await client.request_start_child(spec, "sleeper")

    assert "sleeper is no supervisor: start_child is for supervisors" == tree.ask(ask)["value"]
