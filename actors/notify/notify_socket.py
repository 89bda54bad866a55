"""The receiving end of a notify socket; the kernel says who sent what."""

import contextlib
import os
import select
import socket
import struct
import time
from pathlib import Path
from typing import Self

from ..kernel.private_files import bind_private
from .descriptor_closer import DescriptorCloser
from .notification import DATAGRAM_LIMIT, Notification, parse

_CREDENTIALS = struct.Struct("3i")
_MOST_DESCRIPTORS = 253
"""In one datagram: SCM_MAX_FD of the kernel."""
_ANCILLARY_ROOM = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_MOST_DESCRIPTORS * struct.calcsize("i"))
_RECEIVE_BUFFER = 4 * 1024 * 1024


class NotifySocket:
    """A bound socket, which may have been open before; whatever is sent to it comes with the credentials of its sender.

    `user_id` is the user who may send there; None is ourselves.
    """

    def __init__(self, opened: socket.socket, user_id: int | None = None) -> None:
        self._socket = opened
        self.user_id = user_id
        self._path = Path(opened.getsockname())
        self._found = self._look()
        self._socket.setblocking(False)
        self._closer = DescriptorCloser()
        self.took_at = time.monotonic()
        """When something was last taken from it."""
        self.pace = 0.0
        """Seconds from one datagram to the next, as they came last."""
        self.took = 0.0
        """Seconds that it has taken so far to read it, and to do what was said there."""
        self._arrival = select.poll()
        self._arrival.register(self._socket, select.POLLIN)

    @classmethod
    def at(cls, path: Path, owner: int | None = None) -> Self:
        """A new one that is this user's alone, or, with `owner`, that user's too. Raises OSError."""
        new = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        try:
            bind_private(new, path, owner=owner)
        except OSError:
            new.close()
            raise
        return cls(new, owner)

    def is_in_place(self) -> bool:
        """Whether its name leads to it still: a cleaner of temporary folders may have removed that."""
        found = self._look()
        return found is not None and self._found is not None and os.path.samestat(found, self._found)

    def _look(self) -> os.stat_result | None:
        with contextlib.suppress(OSError):
            return self._path.lstat()
        return None

    def fileno(self) -> int:
        """The descriptor that is readable when a datagram waits."""
        return self._socket.fileno()

    @property
    def is_full(self) -> bool:
        """Whether so many descriptors that were sent here wait for their close that no more are to be received now."""
        return self._closer.is_full

    def is_stuck(self) -> bool:
        """Whether they cannot be closed; to be asked at intervals while it is full."""
        return self._closer.is_stuck()

    def receive(self) -> tuple[int, Notification | None]:
        """The pid of a sender and what it said, None when that is not of the protocol. Raises BlockingIOError when nothing is there."""
        # With room for every descriptor that can come along: the kernel closes what finds no room inside of this call, and a sender can
        # choose descriptors whose close waits.
        datagram, ancillary, flags, _ = self._socket.recvmsg(DATAGRAM_LIMIT, _ANCILLARY_ROOM, socket.MSG_CMSG_CLOEXEC)
        pid = 0
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                pid = _CREDENTIALS.unpack(data)[0]
            elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._closer.close(memoryview(data[: len(data) - len(data) % 4]).cast("i"))
        return pid, None if flags & socket.MSG_TRUNC else parse(datagram)

    def give_up(self) -> None:
        """Let go of it without waiting: what is still queued in it is closed with it."""
        self._closer.close([self._socket.detach()])

    def wait(self, seconds: float) -> None:
        """Block until something comes, for at most so many seconds."""
        self._arrival.poll(seconds * 1000)
