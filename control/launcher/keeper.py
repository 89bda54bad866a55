"""Keeping in place what others reach a running tree by: its folders, sockets, run file and lock. A cleaner of /tmp takes them away."""

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import structlog

from suptree.actors.errors import SuptreeError
from suptree.actors.kernel.folder_watch import FolderWatch
from suptree.actors.kernel.private_files import open_to_read
from suptree.actors.kernel.trusted_folder import make_own, trusted_folder

from ..trees.paths import TreePaths, fallback_root
from ..trees.run_file import Run
from ..trees.tree_lock import TreeLock

log = structlog.get_logger()

# An `rm -r` is given time to come to its end.
_PAUSE = 0.05
_TRY_AGAIN = 1.0
_WITHOUT_INOTIFY = 5.0


class Keeper:
    """Notices when something of a running tree is removed, and makes it again."""

    def __init__(self, paths: TreePaths, run: Run, lock: TreeLock, listen: Callable[[Path], Awaitable[None]]) -> None:
        self.paths = paths
        """`runtime` is another folder when the first one was removed and cannot be made again (the last logout)."""
        self._run = run
        self._lock = lock
        self._listen = listen
        self._listens_at = _identity(paths.control_socket)
        self._written = run.to_json()
        self._complained = False

    async def run(self) -> None:
        """Keep everything in place until this is cancelled."""
        try:
            watch: FolderWatch | None = FolderWatch(modes=True)
        except OSError as error:
            log.warning("folders_not_watched", why=error.strerror, looked_at_every=_WITHOUT_INOTIFY)
            watch = None
        changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        try:
            while True:
                if watch is not None:
                    watch.look_at((self.paths.runtime, self.paths.state))
                    watch.drain()
                    changed.clear()
                    loop.add_reader(watch.fileno(), _heard, watch, changed)
                # What is looked for was removed before it was watched, or will be heard of.
                await _first_of(changed, await self._pause(watched=watch is not None))
                # However fast the changes come, they cost us one look in each pause.
                await asyncio.sleep(_PAUSE if changed.is_set() else 0)
        finally:
            if watch is not None:
                loop.remove_reader(watch.fileno())
                watch.close()

    async def _pause(self, *, watched: bool) -> float | None:
        """Look, and make again what is missing; for how many seconds to wait then, None for as long as nothing changes."""
        try:
            made = await self._make_again()
        except (OSError, SuptreeError) as error:
            if not self._complained:
                log.warning("not_made_again", why=str(error))
            self._complained = True
            return _TRY_AGAIN
        self._complained = False
        if made:
            log.warning("made_again", what=made)
        # What was made may be removed again by what removed it the first time, before it was watched.
        return _PAUSE if made else None if watched else _WITHOUT_INOTIFY

    async def _make_again(self) -> list[str]:
        """Make what is not in place; return the paths. Raises OSError, SuptreeError."""
        made = [str(folder) for folder in (self.paths.state, self.paths.runtime) if _open_again(folder)]
        have_folder(self.paths.state)
        if not self._socket_is_in_place():
            try:
                have_folder(self.paths.runtime)
            except OSError:
                self.paths = replace(self.paths, runtime=fallback_root() / self.paths.runtime.name)
                have_folder(self.paths.runtime)
            await self._listen(self.paths.control_socket)
            self._listens_at = _identity(self.paths.control_socket)
            made.append(str(self.paths.control_socket))
        if not self._lock.is_in_place():
            self._lock.take()
            made.append(str(self.paths.lock_file))
        if not self._run_file_is_in_place() or self._run.runtime != self.paths.runtime:
            self._run = Run.of_this_process(self.paths, self._run.run_id)
            self._run.write(self.paths)
            self._written = self._run.to_json()
            made.append(str(self.paths.run_file))
        return made

    def _socket_is_in_place(self) -> bool:
        return self._listens_at is not None and _identity(self.paths.control_socket) == self._listens_at

    def _run_file_is_in_place(self) -> bool:
        try:
            with open_to_read(self.paths.run_file) as file:
                return file.read(len(self._written) + 1) == self._written
        except OSError:
            return False


def _heard(watch: FolderWatch, changed: asyncio.Event) -> None:
    asyncio.get_running_loop().remove_reader(watch.fileno())
    changed.set()


async def _first_of(event: asyncio.Event, limit: float | None) -> None:
    try:
        async with asyncio.timeout(limit):
            await event.wait()
    except TimeoutError:
        return


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open_again(folder: Path) -> bool:
    """Give this user back the permission to use a folder of its own; whether it was missing."""
    try:
        with trusted_folder(folder, own=True) as descriptor:
            if os.fstat(descriptor).st_mode & stat.S_IRWXU == stat.S_IRWXU:
                return False
            # fchmod(2) takes no descriptor that was opened with O_PATH.
            os.chmod(f"/proc/self/fd/{descriptor}", stat.S_IRWXU)  # noqa: PTH101  (a descriptor)
            return True
    except OSError:
        return False


def have_folder(folder: Path) -> None:
    """Make a folder that is gone. Raises OSError, also where another user has made one, or a link, in its place."""
    try:
        with trusted_folder(folder, own=True):
            return
    except FileNotFoundError:
        make_own(folder.parent)
        make_own(folder)
