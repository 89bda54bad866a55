"""The native agents of the newsroom: what a factory must offer, and no more."""

import asyncio


class Planner:
    """Says every few seconds what it does."""

    def __init__(self, agent_id: str, role: str) -> None:
        self.agent_id = agent_id
        self.role = role

    @classmethod
    async def create(cls, agent_id: str, name: str, role: str, model: str, config: dict[str, object]) -> "Planner":
        """Make the agent; called once in each of its lives."""
        return cls(agent_id, role)

    async def run(self) -> None:
        """Its work: when this returns the agent ended normally, when it raises it crashed."""
        while True:
            print(f"{self.agent_id} {self.role}")
            await asyncio.sleep(5)

    async def health_check(self) -> bool:
        """Whether it is well."""
        return True

    async def update_heartbeat(self, status: str) -> None:
        """Take note of what it is said to be doing."""

    async def shutdown(self) -> None:
        """Put the pen down."""
        print(f"{self.agent_id} goes home")
