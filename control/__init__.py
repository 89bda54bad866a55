"""What people reach the tree through: the launcher, its control API, and the clients."""

from .process_manager import ProcessManager, get_process_manager, reset_process_manager

__all__ = ["ProcessManager", "get_process_manager", "reset_process_manager"]
