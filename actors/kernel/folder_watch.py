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
_MOST_READS = 16


class FolderWatch:
    """`fileno()` is readable when something in a folder was removed, replaced or rewritten, or a folder went away.

    And when a mode has changed, unless `modes` is false: of the folder, or of something in it, which its owner may change all the time.
    """

    def __init__(self, *, modes: bool = True) -> None:
        self._descriptor = create_inotify()
        self._changes = _CHANGES | (_IN_ATTRIB if modes else 0)

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
        """Forget what has been reported: what changed is for the caller to look at. Of very much the rest is left for the next turn."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MOST_READS):
                os.read(self._descriptor, _READ_SIZE)

    def close(self) -> None:
        """Watch nothing any more."""
        os.close(self._descriptor)
