"""What people reach the tree through: the launcher, its control API, and the clients."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client.process_manager import ProcessManager, get_process_manager, reset_process_manager

__all__ = ["ProcessManager", "get_process_manager", "reset_process_manager"]


def __getattr__(name: str) -> Any:
    """Import the process manager when somebody asks for it: the launcher, whose memory every actor inherits, does not."""
    if name in __all__:
        from .client import process_manager  # noqa: PLC0415

        return getattr(process_manager, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
