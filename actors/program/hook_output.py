"""What a hook or probe prints, line by line, while it runs."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ..kernel.linux import add_inotify_watch, create_inotify

_KEPT = 64 * 1024
_READ_SIZE = 64 * 1024
_IN_MODIFY = 0x2
_PLACE_NEEDED = 1024 * 1024


class HookOutput:
    """A file for what one prints: not a pipe, for what the hook leaves behind could hold a pipe open.

    `write` gets the lines as they come, several with newlines between them, and at the end what has no newline; of 64 KiB, and no more:
    a line that they do not hold whole is left out, for a secret could be cut in two there. The file is made in `folder`. Where that has
    no place, it is made in memory, and the lines come when the program has ended. Raises OSError when there is no memory either.
    """

    def __init__(self, write: Callable[[bytes], None], folder: str) -> None:
        self._write = write
        self._file = _file_in(folder)
        # Opened again: what the program does to its own (O_DIRECT, a place in the file) is nothing to us.
        self._reads = os.open(f"/proc/self/fd/{self.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
        self._position = 0
        self._begun = b""
        self._inotify: int | None = None

    def fileno(self) -> int:
        """The file, for the program."""
        return self._file.fileno()

    def __enter__(self) -> "HookOutput":
        # Without it (a user may have only so many) the lines come when the program has ended.
        with contextlib.suppress(OSError):
            self._inotify = create_inotify()
            asyncio.get_running_loop().add_reader(self._inotify, self._hear, self._inotify)
            # The file has no name; this path leads to the file.
            add_inotify_watch(self._inotify, Path(f"/proc/self/fd/{self.fileno()}"), _IN_MODIFY)
        return self

    def __exit__(self, *_error: object) -> None:
        self._unwatch()
        self._look()
        if self._begun and self._position < _KEPT:
            self._write(b"\n".join(self._begun.splitlines()))
        self._file.close()
        os.close(self._reads)

    def _hear(self, inotify: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(inotify, _READ_SIZE)
        self._look()
        if self._position >= _KEPT:
            self._unwatch()

    def _look(self) -> None:
        if not (data := os.pread(self._reads, _KEPT - self._position, self._position)):
            return
        self._position += len(data)
        lines, newline, rest = data.rpartition(b"\n")
        if newline:
            self._write(b"\n".join((self._begun + lines + newline).splitlines()))
            self._begun = b""
        self._begun += rest

    def _unwatch(self) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify)
            os.close(self._inotify)
            self._inotify = None


def _file_in(folder: str) -> IO[bytes]:
    """A file without a name. Not in a folder that others fill: a probe that cannot print fails, and its agent is ended for that."""
    with contextlib.suppress(OSError):
        found = os.statvfs(folder)
        if found.f_bavail * found.f_frsize >= _PLACE_NEEDED:
            return tempfile.TemporaryFile(dir=folder)
    return os.fdopen(os.memfd_create("suptree-hook"), "w+b")
