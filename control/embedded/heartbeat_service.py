"""`HeartbeatService`: the last sign of life of each agent."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from suptree.actors.errors import NotRunning
from suptree.supervisors.spec.ids import fault_of_id

Status = Callable[[], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last sign of life of an agent: `last_ping` (aware, UTC), its `age` in seconds, and what the agent said of itself, if anything.

    An agent that has never pinged, or does not run, has neither `last_ping` nor `age`. `suspect` says that a ping is overdue.
    """

    last_ping: datetime | None
    age: float | None
    status: str | None
    suspect: bool = False


class HeartbeatService:
    """The heartbeats of a process manager's agents, and of agents in this program's own process, which call `update` themselves."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._own: dict[str, tuple[float, datetime, str | None]] = {}

    async def get(self, agent_id: str) -> Heartbeat | None:
        """The heartbeat of an agent; None for an id that nobody knows."""
        return (await self.get_all()).get(agent_id)

    async def get_all(self) -> dict[str, Heartbeat]:
        """The heartbeat of each agent by id, as the heartbeat actor knows it now; when no tree runs, of those that called `update`."""
        now = datetime.now(UTC)
        known = {
            agent_id: Heartbeat(at, round(time.monotonic() - monotonic, 3), status)
            for agent_id, (monotonic, at, status) in self._own.items()
        }
        for agent in await self._agents():
            age = agent["last_ping_age"]
            last = None if age is None else now - timedelta(seconds=age)
            known[agent["id"]] = Heartbeat(last, age, agent["status_text"], agent["suspect"])
        return known

    async def _agents(self) -> list[dict[str, Any]]:
        try:
            return list((await self._status())["agents"])
        except NotRunning:
            return []

    def update(self, agent_id: str, status: str | None = None) -> None:
        """Note a sign of life of an agent in this program's own process, which no supervisor watches.

        An agent of the tree pings by itself, and says its status with `update_heartbeat` (a native agent) or `STATUS=` (a program).
        Raises ValueError for what can be no id.
        """
        if fault := fault_of_id(agent_id):
            raise ValueError(f"{agent_id!r} is no id: {fault}")
        self._own[agent_id] = (time.monotonic(), datetime.now(UTC), status)
