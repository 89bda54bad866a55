"""Keeping the notify sockets where programs look for them: a cleaner of temporary folders takes their names away."""

import asyncio
from collections.abc import Callable

import structlog

from ..kernel.folder_watch import FolderWatch
from .notify_socket import NotifySocket
from .notify_sockets import NotifySockets

log = structlog.get_logger()

# An `rm -r` is given time to come to its end.
_PAUSE = 0.05
_TRY_AGAIN = 1.0
_AFTER_THE_GAP = 5.0
_WITHOUT_INOTIFY = 5.0


class SocketKeeper:
    """For the heartbeat actor: makes a socket again whose name was removed, and listens there."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sockets: NotifySockets, shared_dir: str, listen_at: Callable[[NotifySocket], None]
    ) -> None:
        self._loop = loop
        self._sockets = sockets
        self._shared_dir = shared_dir
        self._listen_at = listen_at
        self._due: asyncio.TimerHandle | None = None
        self._heard_again_at = 0.0
        self._complained = False
        try:
            # The user of a socket may change its mode, and harms nobody else by it.
            self._watch: FolderWatch | None = FolderWatch(modes=False)
        except OSError as error:
            log.warning("folders_not_watched", why=error.strerror, looked_at_every=_WITHOUT_INOTIFY)
            self._watch = None
        self._look()

    def all_in_place(self) -> bool:
        """Whether every program could send a ping, and has had the time to: for a while after a gap the answer is no."""
        if self._sockets.out_of_place():
            self._look_in(0.0)
            return False
        return self._loop.time() >= self._heard_again_at

    def look_at_folders(self) -> None:
        """There may be one more."""
        if self._watch is not None:
            self._watch.look_at(self._sockets.folders(self._shared_dir))

    def _changed(self, watch: FolderWatch) -> None:
        # However fast the changes come, they cost us one look in each pause.
        self._loop.remove_reader(watch.fileno())
        self._look_in(_PAUSE)

    def _look_in(self, seconds: float) -> None:
        """Look in so many seconds at the latest."""
        if self._due is not None:
            if self._due.when() <= self._loop.time() + seconds:
                return
            self._due.cancel()
        self._due = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._due = None
        if self._watch is not None:
            self._watch.drain()
            self._loop.add_reader(self._watch.fileno(), self._changed, self._watch)
        missing = self._sockets.out_of_place()
        if missing:
            self._heard_again_at = self._loop.time() + _AFTER_THE_GAP
        try:
            for user_id in missing:
                self._listen_at(self._sockets.open(self._shared_dir, user_id))
        except OSError as error:
            if not self._complained:
                log.warning("notify_socket_not_made_again", why=str(error))
            self._complained = True
            self._look_in(_TRY_AGAIN)
            return
        self._complained = False
        self.look_at_folders()
        if missing:
            log.warning("notify_socket_made_again", users=missing)
            # What removed it may do so again, before it was watched.
            self._look_in(_PAUSE)
        elif self._watch is None:
            self._look_in(_WITHOUT_INOTIFY)
