"""What people reach the tree through: the launcher, its control API, and the clients."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client.client import Client
    from .client.reach import reach
    from .embedded.agent_output import OutputLine
    from .embedded.agent_registry import AgentRegistry
    from .embedded.blocking import BlockingProcessManager
    from .embedded.death_explanation import Explanation
    from .embedded.heartbeat_service import Heartbeat, HeartbeatService
    from .embedded.process_manager import ProcessManager
    from .embedded.settings import NativeAgent, ProcessAgent
    from .embedded.singletons import get_agent_registry, get_heartbeat_service, get_process_manager, reset_process_manager
    from .embedded.stdio import StdioReader, StdioWriter

__all__ = [
    "AgentRegistry",
    "BlockingProcessManager",
    "Client",
    "Explanation",
    "Heartbeat",
    "HeartbeatService",
    "NativeAgent",
    "OutputLine",
    "ProcessAgent",
    "ProcessManager",
    "StdioReader",
    "StdioWriter",
    "get_agent_registry",
    "get_heartbeat_service",
    "get_process_manager",
    "reach",
    "reset_process_manager",
]

_MODULES = {
    "AgentRegistry": "embedded.agent_registry",
    "BlockingProcessManager": "embedded.blocking",
    "Client": "client.client",
    "Explanation": "embedded.death_explanation",
    "Heartbeat": "embedded.heartbeat_service",
    "HeartbeatService": "embedded.heartbeat_service",
    "NativeAgent": "embedded.settings",
    "OutputLine": "embedded.agent_output",
    "ProcessAgent": "embedded.settings",
    "ProcessManager": "embedded.process_manager",
    "StdioReader": "embedded.stdio",
    "StdioWriter": "embedded.stdio",
    "get_agent_registry": "embedded.singletons",
    "get_heartbeat_service": "embedded.singletons",
    "get_process_manager": "embedded.singletons",
    "reach": "client.reach",
    "reset_process_manager": "embedded.singletons",
}


def __getattr__(name: str) -> Any:
    """Import what is for embedding programs when somebody asks for it: the launcher, whose memory every actor inherits, does not."""
    if name in _MODULES:
        return vars(import_module(f".{_MODULES[name]}", __name__))[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
