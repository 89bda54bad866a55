"""Which users are this one, as the kernel knows it: at the other end of a Unix socket (`SO_PEERCRED`, unix(7)), and by number."""

import os
import socket
import struct
from functools import cache
from pathlib import Path
from typing import NamedTuple

_CREDENTIALS = struct.Struct("3i")
_OVERFLOW_USER = 65534
_ALL_USERS = 2**32 - 1


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
    return peer.uid in (os.getuid(), 0) and (peer.uid not in unmapped_users() or _shares_our_namespace(peer.pid))


@cache
def unmapped_users() -> frozenset[int]:
    """As whom all users are shown that the user namespace of this process does not map (user_namespaces(7)); none where it maps all.

    This user, too, may have that number there.
    """
    try:
        mapped = sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_bytes().splitlines())
        overflow = int(Path("/proc/sys/kernel/overflowuid").read_bytes())
    except OSError:
        return frozenset({_OVERFLOW_USER})
    return frozenset({overflow} if mapped < _ALL_USERS else ())


def _shares_our_namespace(pid: int) -> bool:
    """Of a process of another user the kernel does not say it."""
    try:
        return Path(f"/proc/{pid}/ns/user").samefile("/proc/self/ns/user")
    except OSError:
        return False
