"""The notify sockets of a node: the tree's own, and one of each other user whose agents run here."""

import os
import socket
from pathlib import Path

from ..kernel.private_files import make_shared
from .notification import NOTIFY_SOCKET, shared_socket
from .notify_socket import NotifySocket

_LONGEST_NAME = 32


class NotifySockets:
    """They outlive the heartbeat actor that listens there, as do the connections of the senders, and the datagrams that come meanwhile.

    The supervisor that forks that actor makes this object, and the actor inherits it. A socket that the actor opens goes up, as into
    systemd's file descriptor store (`FDSTORE=1`, `FDNAME=`); until the supervisor takes that socket, the kernel holds it.
    """

    def __init__(self, runtime_dir: str) -> None:
        self.opened: dict[int | None, NotifySocket] = {None: NotifySocket.at(Path(runtime_dir) / NOTIFY_SOCKET)}
        """By the user who may send there; None is ourselves."""
        self._store, self._upwards = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._store, self._upwards):
            end.setblocking(False)

    def descriptors(self) -> set[int]:
        """What the heartbeat actor has to inherit."""
        return {self._upwards.fileno(), *(opened.fileno() for opened in self.opened.values())}

    def open(self, shared_dir: str, user_id: int) -> NotifySocket:
        """For the heartbeat actor: a socket where agents of that user can send, who cannot reach ours. Raises OSError."""
        shared = Path(shared_dir)
        for folder in (shared.parent, shared):
            make_shared(folder)
        new = NotifySocket.at(shared_socket(shared_dir, user_id), user_id)
        socket.send_fds(self._upwards, [str(user_id).encode()], [new.fileno()])
        self.opened[user_id] = new
        return new

    def give_up(self, opened: NotifySocket) -> int | None:
        """For the heartbeat actor: stop listening to a user who keeps us from closing what that user sends; whose socket it was.

        None, and nothing is done, where the socket is our own: agents that run as ourselves can harm us anyway.
        """
        user_id = next((user_id for user_id, known in self.opened.items() if known is opened), None)
        if user_id is not None:
            del self.opened[user_id]
            opened.give_up()
        return user_id

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
                self.opened[int(name)] = NotifySocket(socket.socket(fileno=descriptor))
