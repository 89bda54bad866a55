"""What is known of an agent, for programs that ask."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class AgentType(StrEnum):
    """The kinds of agent."""

    NATIVE_LLM = "native_llm"
    """An async task in an actor of its own; no outside process."""
    PROCESS_WRAPPER = "process_wrapper"
    """An external program."""


class AgentStatus(StrEnum):
    """Where an agent stands; details (backing off until, held because) are fields beside it."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    CRASHED = "crashed"
    UNKNOWN = "unknown"
    """Alive as far as we know but out of contact; also the answer for an id that nobody knows."""


@dataclass(frozen=True, slots=True)
class AgentProcess:
    """One agent as it was when you asked; a snapshot that never changes under you. Times are aware and UTC."""

    agent_id: str
    agent_type: AgentType
    status: AgentStatus
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    restart_count: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    pid: int | None = None
    incarnation: int = 0
    last_exit: Mapping[str, Any] | None = None
    detail: str | None = None
    name: str = ""
    role: str = ""
    model: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        """Whether it runs, or is on its way up or down."""
        return self.status in (AgentStatus.STARTING, AgentStatus.RUNNING, AgentStatus.STOPPING)

    @property
    def uptime(self) -> float:
        """Seconds since the present incarnation started; 0.0 when none lives."""
        if self.started_at is None or not self.is_alive:
            return 0.0
        return max(0.0, (datetime.now(UTC) - self.started_at).total_seconds())
