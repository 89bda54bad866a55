"""Hearing that something changes in a folder, also when that is deleted and made again."""

import asyncio
import contextlib
import os
import select
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from ..kernel.linux import add_inotify_watch, create_inotify, remove_inotify_watch

_IN_MODIFY, _IN_MOVED_FROM, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x2, 0x40, 0x80, 0x100, 0x200
_IN_DELETE_SELF, _IN_MOVE_SELF, _IN_UNMOUNT, _IN_IGNORED = 0x400, 0x800, 0x2000, 0x8000
_CHANGES = _IN_MODIFY | _IN_MOVED_FROM | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE | _IN_DELETE_SELF | _IN_MOVE_SELF
_LOST = _IN_DELETE_SELF | _IN_MOVE_SELF | _IN_UNMOUNT | _IN_IGNORED
_BEGUN = _IN_MOVED_TO | _IN_CREATE
_EVENT = struct.Struct("iIII")
_EVENT_BUFFER = 64 * 1024
# Where the kernel cannot say that something changes, it is looked at so often.
_LOOK_EVERY = 0.5


class LogFolderWatch:
    """Waits for changes in a folder: by inotify; while there is no such folder, or inotify is not available, by the clock.

    A thread listens, so that nothing is missed while the event loop is busy. `begun` is called there when a file was made in the folder, or
    moved there.
    """

    def __init__(self, folder: Path) -> None:
        self.begun: Callable[[], object] = list
        self._folder = folder
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._watched: int | None = None
        self._inotify: int | None = None
        with contextlib.suppress(OSError):
            self._inotify = create_inotify()
            self._end = os.eventfd(0)
            self._begin()
            self._listener = threading.Thread(target=self._listen, args=(self._inotify, self._end), name="log folder", daemon=True)
            self._listener.start()

    def clear(self) -> None:
        """Forget the changes so far: before they are looked for."""
        self._changed.clear()
        if self._watched is None:
            self._begin()

    async def wait(self) -> None:
        """Return when something has changed since `clear`, or may have."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if self._watched is not None else _LOOK_EVERY):
                await self._changed.wait()

    def close(self) -> None:
        """Watch no more."""
        if self._inotify is not None:
            os.eventfd_write(self._end, 1)
            self._listener.join()
            os.close(self._inotify)
            os.close(self._end)

    def _begin(self) -> None:
        if self._inotify is not None:
            with contextlib.suppress(OSError):
                self._watched = add_inotify_watch(self._inotify, self._folder, _CHANGES)

    def _listen(self, inotify: int, end: int) -> None:
        poll = select.poll()
        poll.register(inotify, select.POLLIN)
        poll.register(end, select.POLLIN)
        while end not in dict(poll.poll()):
            with contextlib.suppress(BlockingIOError):
                self._hear(inotify, os.read(inotify, _EVENT_BUFFER))
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._changed.set)

    def _hear(self, inotify: int, data: bytes) -> None:
        place, masks = 0, 0
        while place < len(data):
            watch, mask, _cookie, length = _EVENT.unpack_from(data, place)
            place += _EVENT.size + length
            masks |= mask
            if mask & _LOST and watch == self._watched:
                # A folder that was moved away is the old one still.
                if not mask & _IN_IGNORED:
                    with contextlib.suppress(OSError):
                        remove_inotify_watch(inotify, watch)
                self._watched = None
        if masks & _BEGUN:
            self.begun()
