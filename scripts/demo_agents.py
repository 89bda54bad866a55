"""The native agents of the demo: one works, one raises, one blocks its event loop."""

import asyncio
import random
import time
from typing import Any


class Worker:
    """Works for ever."""

    def __init__(self, agent_id: str, config: dict[str, Any]) -> None:
        self.agent_id = agent_id
        self.config = config

    @classmethod
    async def create(cls, agent_id: str, name: str, role: str, model: str, config: dict[str, Any]) -> "Worker":  # noqa: ARG003  (the contract)
        """Make the agent."""
        return cls(agent_id, config)

    async def run(self) -> None:
        """Say every second what it does."""
        while True:
            print(f"{self.agent_id} thinks")
            await asyncio.sleep(1)

    async def health_check(self) -> bool:
        """Whether it is well."""
        return True

    async def update_heartbeat(self, status: str) -> None:
        """Nothing to note."""

    async def shutdown(self) -> None:
        """Nothing to put away."""


class Raiser(Worker):
    """Raises after some seconds."""

    async def run(self) -> None:
        """Crash."""
        await asyncio.sleep(random.uniform(3, 6))
        raise RuntimeError("I have no rhyme for orange")


class Blocker(Worker):
    """Blocks its event loop after some seconds, as a careless library call would."""

    async def run(self) -> None:
        """Hang."""
        await asyncio.sleep(random.uniform(3, 5))
        time.sleep(3600)  # noqa: ASYNC251  (the point)
