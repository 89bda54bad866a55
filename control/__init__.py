"""What people reach the tree through: the launcher, its control API, and the clients."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .embedded.agent_output import OutputLine
    from .embedded.agent_registry import AgentRegistry
    from .embedded.blocking import BlockingProcessManager
    from .embedded.death_explanation import Explanation
    from .embedded.heartbeat_service import Heartbeat, HeartbeatService
    from .embedded.process_manager import ProcessManager
    from .embedded.settings import NativeAgent, ProcessAgent
    from .embedded.singletons import get_agent_registry, get_heartbeat_service, get_process_manager, reset_process_manager

__all__ = [
    "AgentRegistry",
    "BlockingProcessManager",
    "Explanation",
    "Heartbeat",
    "HeartbeatService",
    "NativeAgent",
    "OutputLine",
    "ProcessAgent",
    "ProcessManager",
    "get_agent_registry",
    "get_heartbeat_service",
    "get_process_manager",
    "reset_process_manager",
]

_MODULES = {
    "AgentRegistry": "agent_registry",
    "BlockingProcessManager": "blocking",
    "Explanation": "death_explanation",
    "Heartbeat": "heartbeat_service",
    "HeartbeatService": "heartbeat_service",
    "NativeAgent": "settings",
    "OutputLine": "agent_output",
    "ProcessAgent": "settings",
    "ProcessManager": "process_manager",
    "get_agent_registry": "singletons",
    "get_heartbeat_service": "singletons",
    "get_process_manager": "singletons",
    "reset_process_manager": "singletons",
}


def __getattr__(name: str) -> Any:
    """Import what is for embedding programs when somebody asks for it: the launcher, whose memory every actor inherits, does not."""
    if name in _MODULES:
        return vars(import_module(f".embedded.{_MODULES[name]}", __name__))[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
