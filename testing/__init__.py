"""The actor test harness and pytest plugin that we ship."""

from .live_tree import LeakedProcesses, LiveTree, kill

__all__ = ["LeakedProcesses", "LiveTree", "kill"]
