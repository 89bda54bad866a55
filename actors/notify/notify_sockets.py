"""The notify sockets of a node: the tree's own, and one of each other user whose agents run here."""

import contextlib
import os
import socket
from collections import deque
from pathlib import Path

from ..kernel.private_files import make_shared
from ..kernel.trusted_folder import make_own
from .notification import NOTIFY_SOCKET, shared_socket
from .notify_socket import NotifySocket

_LONGEST_NAME = 32
_OURS = b"ours"
_NAMELESS_KEPT = 8


class NotifySockets:
    """They outlive the heartbeat actor that listens there, as do the connections of the senders, and the datagrams that come meanwhile.

    The supervisor that forks that actor makes this object, and the actor inherits it. A socket that the actor opens goes up, as into
    systemd's file descriptor store (`FDSTORE=1`, `FDNAME=`); until the supervisor takes that socket, the kernel holds it.
    """

    def __init__(self, runtime_dir: str) -> None:
        self._runtime = Path(runtime_dir)
        self.opened: dict[int | None, NotifySocket] = {None: NotifySocket.at(self._runtime / NOTIFY_SOCKET)}
        """By the user who may send there; None is ourselves."""
        self.nameless: deque[NotifySocket] = deque(maxlen=_NAMELESS_KEPT)
        """Whose names were removed: programs that connected to them before still send there."""
        self._store, self._upwards = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._store, self._upwards):
            end.setblocking(False)

    @property
    def all(self) -> list[NotifySocket]:
        """Everything that may be sent to."""
        return [*self.opened.values(), *self.nameless]

    def descriptors(self) -> set[int]:
        """What the heartbeat actor has to inherit."""
        return {self._upwards.fileno(), *(opened.fileno() for opened in self.all)}

    def open(self, shared_dir: str, user_id: int | None = None) -> NotifySocket:
        """For the heartbeat actor: a socket where agents of that user can send, who cannot reach ours; or our own anew. Raises OSError."""
        if user_id is None:
            make_own(self._runtime.parent)
            make_own(self._runtime)
            new = NotifySocket.at(self._runtime / NOTIFY_SOCKET)
        else:
            shared = Path(shared_dir)
            for folder in (shared.parent, shared):
                make_shared(folder)
            new = NotifySocket.at(shared_socket(shared_dir, user_id), user_id)
        # Where there is no room for it, the next actor makes that socket anew.
        with contextlib.suppress(BlockingIOError):
            socket.send_fds(self._upwards, [_OURS if user_id is None else str(user_id).encode()], [new.fileno()])
        self._put(new)
        return new

    def give_up(self, opened: NotifySocket) -> None:
        """For the heartbeat actor: stop listening to a user who keeps us from closing what that user sends."""
        if self.opened.get(opened.user_id) is opened:
            del self.opened[opened.user_id]
        else:
            self.nameless.remove(opened)
        opened.give_up()

    def out_of_place(self) -> list[int | None]:
        """The users whose sockets cannot be found under their names any more."""
        return [user_id for user_id, opened in self.opened.items() if not opened.is_in_place()]

    def folders(self, shared_dir: str) -> list[Path]:
        """Where the names of the sockets are."""
        return [self._runtime, Path(shared_dir)]

    def keep(self) -> None:
        """For the supervisor, when that actor is dead: take the sockets that it has opened, for the next one."""
        while True:
            try:
                name, descriptors, _, _ = socket.recv_fds(self._store, _LONGEST_NAME, 1)
            except BlockingIOError:
                return
            # None where we have no room for it: then the next actor makes that socket anew.
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
                self._put(NotifySocket(socket.socket(fileno=descriptor), None if name == _OURS else int(name)))

    def _put(self, new: NotifySocket) -> None:
        if new.user_id in self.opened:
            self.nameless.append(self.opened[new.user_id])
        self.opened[new.user_id] = new
