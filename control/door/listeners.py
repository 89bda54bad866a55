"""The sockets that people and the registry come in through, and which peers are let in before a byte is read from them."""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from suptree.actors.errors import SuptreeError
from suptree.actors.kernel.peers import Peer, is_owner, peer_of
from suptree.actors.kernel.private_files import bind_private

_MAY_WAIT = 1024
ACCEPTED_PER_LOOK = 16
"""Connections that are accepted before the next look at what the others send. For asyncio this is the backlog of the listener too."""


class Listener(socket.socket):
    """A listening socket that hands out only the connections of peers that `admits` is true of; the others it closes unread."""

    admits: Callable[[Peer], bool] | None = None
    on_stranger: Callable[[], None] | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection; ConnectionAbortedError, after which a server looks again, when a stranger came."""
        connection, address = super().accept()
        if self.admits is None or self.admits(peer_of(connection)):
            return connection, address
        connection.close()
        if self.on_stranger is not None:
            self.on_stranger()
        raise ConnectionAbortedError

    def listen(self, _backlog: int = 0, /) -> None:
        """Begin to listen. Many connections may wait, however few are accepted in one step."""
        super().listen(_MAY_WAIT)


def listen_on_path(path: Path) -> Listener:
    """A Unix socket, mode 0600 from its first moment on, that admits this user; whatever stood there is removed."""
    listener = Listener(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.admits = is_owner
    try:
        bind_private(listener, path)
    except OSError:
        listener.close()
        raise
    listener.listen()
    return listener


class Address(NamedTuple):
    """Where to listen on TCP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect to it."""
        return ip_address(self.host).is_loopback

    @property
    def hosts(self) -> frozenset[str]:
        """The Host headers by which a client may name this address; empty when the server listens at every address of the machine."""
        if ip_address(self.host).is_unspecified:
            return frozenset()
        return frozenset({self.host, *(("localhost", "127.0.0.1", "::1") if self.is_loopback else ())})


def parse_address(text: str) -> Address:
    """The address that `HOST:PORT` or `[HOST]:PORT` means. Raises ValueError, which says what would be right."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        is_ipv6 = True
    else:
        host = "127.0.0.1" if host == "localhost" else host
        is_ipv6 = False
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if address is None or (address.version == 6) is not is_ipv6 or "%" in host:
        raise ValueError(f"{text!r} must be IP:PORT, like 127.0.0.1:8321 or [::1]:8321; names other than localhost are not looked up")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError(f"{text!r} must end in a port, 1 to 65535")
    return Address(str(address), int(port))


def listen_on_address(address: Address) -> Listener:
    """A TCP socket. Raises SuptreeError when it cannot be had."""
    listener = Listener(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise SuptreeError(f"cannot listen on {address}: {error.strerror}; choose another --listen") from None
    return listener
