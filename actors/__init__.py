"""What runs: the agents, the heartbeat and the registry, and the messages between actors."""

from .native_llm_agent import NativeLLMAgent, NativeLLMAgentFactory
from .state import AgentProcess, AgentStatus, AgentType

__all__ = ["AgentProcess", "AgentStatus", "AgentType", "NativeLLMAgent", "NativeLLMAgentFactory"]
