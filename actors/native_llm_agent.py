"""What a native agent is to offer, as types; and the factory of the shipped one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from .llm.llm_agent import LLMAgent


@runtime_checkable
class NativeLLMAgent(Protocol):
    """A native agent as a process manager knows it. docs/native-agents.md has what else it may offer.

    Every method may be a coroutine function or a plain one.
    """

    def health_check(self) -> Any:
        """Whether the agent is well; False, or an exception, ends it as `unhealthy`. It is called every `heartbeat.interval` seconds."""

    def update_heartbeat(self, status: str) -> Any:
        """Called with what the agent does now, by the agent or by code that holds it; the text is shown as the agent's status."""

    def shutdown(self) -> Any:
        """Called at a stop, with `stop.cancel` seconds for it; then `run` is cancelled."""


class NativeLLMAgentFactory:
    """The factory of a native agent that names none: it makes an LLMAgent, which needs the extra `llm`."""

    @staticmethod
    async def create(agent_id: str, name: str, role: str, model: str, config: Mapping[str, Any]) -> "LLMAgent":
        """The agent. Raises CannotRun when the extra, the key or the provider is missing, or `config` is not as LLMConfig says."""
        from .llm.llm_agent import LLMAgent  # noqa: PLC0415  (only those pay for it who run one)

        return await LLMAgent.create(agent_id, name, role, model, dict(config))
