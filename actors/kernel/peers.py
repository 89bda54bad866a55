"""Who is at the other end of a Unix socket, as the kernel knows it (`SO_PEERCRED`, unix(7))."""

import os
import socket
import struct
from typing import NamedTuple

_CREDENTIALS = struct.Struct("3i")


class Peer(NamedTuple):
    """The process that connected, or that listens; its user when it did so."""

    pid: int
    uid: int


def peer_of(connection: socket.socket) -> Peer:
    """Who is at the other end of a connection. Raises OSError when it is none."""
    pid, uid, _gid = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return Peer(pid, uid)


def is_owner(peer: Peer) -> bool:
    """Whether a peer is this user, or root, whom nothing here could keep out."""
    return peer.uid in (os.getuid(), 0)
