"""A process that the kernel does not let die, here for being in a frozen group of the v1 hierarchy: it is reported, and fenced."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from suptree.control.client.client import Client
from suptree.testing import LiveTree

FREEZER = Path(f"/sys/fs/cgroup/freezer/suptree-test-{os.getpid()}")
TREE = """
[tree]
name = "frozen"

[agents.frozen]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
stop = { cancel = 0, sigint = 0, sigterm = 0.1 }
"""


@pytest.fixture
def freezer() -> Iterator[Path]:
    try:
        FREEZER.mkdir()
    except OSError:
        pytest.skip("no v1 freezer is writable here, and nothing else makes a process unkillable at will")
    yield FREEZER
    (FREEZER / "freezer.state").write_text("THAWED")
    with contextlib.suppress(OSError):
        FREEZER.rmdir()


def test_what_does_not_die_is_reported_and_no_new_incarnation_begins_before_it_has(freezer: Path) -> None:
    with LiveTree(TREE) as running:
        before = running.wait_until_all_run()["agents"][0]
        (freezer / "cgroup.procs").write_text(str(before["pid"]))
        (freezer / "freezer.state").write_text("FROZEN")

        async def restart(client: Client) -> dict[str, Any]:
            """Ask for a restart, and for the status when the agent is found to be unkillable; then let it die."""
            restarting = asyncio.ensure_future(client.restart("frozen"))
            async with contextlib.aclosing(client.events()) as events:
                async for event in events:
                    if event["event"] == "agent_unkillable":
                        break
            stuck = await client.agent("frozen")
            (freezer / "freezer.state").write_text("THAWED")
            await restarting
            return stuck

        stuck = running.ask(lambda client: asyncio.wait_for(restart(client), 60))
        assert ("stopping", 1) == (stuck["status"], stuck["incarnation"])
        assert f"unkillable: {before['pid']} got SIGKILL" in stuck["detail"]
        after = running.agent("frozen")
        assert ("running", 2, "shutdown") == (after["status"], after["incarnation"], after["last_exit"]["class"])
