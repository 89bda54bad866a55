"""Hearing of what disappears from folders, and of new modes, from the kernel (inotify(7)): nothing is looked at while nothing changes."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from .linux import add_inotify_watch, create_inotify

_IN_ATTRIB = 0x004
_IN_CLOSE_WRITE = 0x008
_IN_MOVED_FROM = 0x040
_IN_MOVED_TO = 0x080
_IN_DELETE = 0x200
_IN_DELETE_SELF = 0x400
_IN_MOVE_SELF = 0x800
_IN_ONLYDIR = 0x01000000
_CHANGES = _IN_CLOSE_WRITE | _IN_MOVED_FROM | _IN_MOVED_TO | _IN_DELETE | _IN_DELETE_SELF | _IN_MOVE_SELF | _IN_ONLYDIR
_READ_SIZE = 64 * 1024
_MOST_READS = 32
"""More than the kernel keeps for us (`fs.inotify.max_queued_events`, 16,384 events of 48 bytes or less)."""


class FolderWatch:
    """`fileno()` is readable when something in a folder was removed, replaced or rewritten, or a folder went away.

    With `modes` also when a folder, or a file in it, changed its mode: not for a folder in which a file is another user's, who could
    change that mode without end.
    """

    def __init__(self, *, modes: bool = False) -> None:
        self._descriptor = create_inotify()
        self._changes = _CHANGES | _IN_ATTRIB if modes else _CHANGES

    def fileno(self) -> int:
        """For an event loop."""
        return self._descriptor

    def look_at(self, folders: Iterable[Path]) -> None:
        """Watch the folders that are there now; to name one again that has been replaced watches the new one."""
        for folder in folders:
            try:
                add_inotify_watch(self._descriptor, folder, self._changes)
            except OSError:
                continue

    def drain(self) -> None:
        """Forget what has been reported: the caller looks at what changed. Of changes without end some may be left."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MOST_READS):
                os.read(self._descriptor, _READ_SIZE)

    def close(self) -> None:
        """Watch nothing any more."""
        os.close(self._descriptor)
