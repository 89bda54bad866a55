"""A `ProcessManager` of a test, and what is waited for and read of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil

from suptree.control import ProcessManager

AGENTS = str(Path(__file__).parents[1] / "agents")


SLEEP = {"command": "sleep", "args": ["1000000"]}


STEADY = {"factory": "pm_agents:Steady", "role": "tester", "model": "none"}


@contextlib.asynccontextmanager
async def manager() -> AsyncIterator[ProcessManager]:
    async with ProcessManager() as pm:
        yield pm
    assert [] == psutil.Process().children(recursive=True)


def standing(pm: ProcessManager) -> dict[str, tuple[str, int]]:
    return {agent_id: (agent.status.value, agent.incarnation) for agent_id, agent in pm.get_all_agents().items()}


def run(test: Callable[[], object], loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
    """Run a test on a loop of asyncio's, or on another."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(test())  # type: ignore[arg-type]
