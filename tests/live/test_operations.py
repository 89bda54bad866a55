"""What may be asked of a supervisor in a running tree, and that everything that is asked is answered."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from suptree.control.client.client import Client
from suptree.supervisors.config.child_from_config import agent_child_from_config
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


@pytest.mark.parametrize("operation", ["which_children", "count_children", "none of ours"])
@pytest.mark.parametrize("target", ["sleeper", "root", "registry", "heartbeat", "top", "nobody", "-"])
def test_whatever_is_posted_about_whatever_is_answered_by_the_api(tree: LiveTree, operation: str, target: str) -> None:
    """As `curl` asks, and not our client."""
    known, of_ours = target in ("sleeper", "root"), operation != "none of ours"
    transport = httpx.HTTPTransport(uds=str(tree.launcher.paths.control_socket))
    with httpx.Client(transport=transport, timeout=20) as http:
        answer = http.post(f"http://suptree/agents/{target}/{operation}", json={})
    assert (200 if known and of_ours else 404) == answer.status_code
    said = {"sleeper": "refused", "root": "ok"}[target] if known and of_ours else None
    assert said == answer.json().get("answer")


def test_a_child_of_an_agent_is_refused(tree: LiveTree) -> None:
    spec = agent_child_from_config("other", "process_wrapper", {"command": "sleep", "args": ["1000000"]}, "/")

    async def ask(client: Client) -> dict[str, Any]:
        async with asyncio.timeout(20):
            return await client.request_start_child(spec, "sleeper")

    assert "sleeper is no supervisor: start_child is for supervisors" == tree.ask(ask)["value"]
