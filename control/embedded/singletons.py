"""The process manager of this program, and what belongs to it."""

from .agent_registry import AgentRegistry
from .heartbeat_service import HeartbeatService
from .process_manager import ProcessManager

_manager: ProcessManager | None = None


def get_process_manager() -> ProcessManager:
    """The process manager of this program; made at the first call."""
    global _manager  # noqa: PLW0603
    if _manager is None:
        _manager = ProcessManager()
    return _manager


def reset_process_manager() -> None:
    """Forget the process manager of this program; a tree that it still runs is stopped."""
    global _manager  # noqa: PLW0603
    if _manager is not None:
        _manager.abandon()
    _manager = None


def get_agent_registry() -> AgentRegistry:
    """The registry of `get_process_manager()`."""
    return get_process_manager().registry


def get_heartbeat_service() -> HeartbeatService:
    """The heartbeat service of `get_process_manager()`."""
    return get_process_manager().heartbeat_service
