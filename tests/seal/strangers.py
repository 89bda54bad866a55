"""What a stranger may say to a socket. Each attack opens connections through `connect`, and leaves those open that it returns."""

import contextlib
import os
import pickle
import select
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thespian.actors import ActorAddress
from thespian.system.transport.IPBase import TCPv4ActorAddress
from thespian.system.transport.streamBuffer import toSendBuffer

from suptree.control.refusals import Why
from suptree.control.seal.seal import Seal
from tests.polling import poll_until

from .connections import OTHER_KEY, ByHand

Connections = list[socket.socket]
IDLE = 200
SLOW_FOR = 8.0


@dataclass(frozen=True)
class Target:
    """A listening socket of a tree; `key` is the tree's own, for the attacks that somebody could make who had recorded its use."""

    address: Any
    name: str
    key: bytes
    canary: Path

    @property
    def is_sealed(self) -> bool:
        """Whether actors talk through it."""
        return isinstance(self.address, tuple)

    def connect(self) -> socket.socket:
        """A connection to it."""
        connection = socket.socket(socket.AF_INET if self.is_sealed else socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(self.address)
        if self.is_sealed:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def message(self) -> bytes:
        """A message of Thespian's that makes a folder when it is unpickled."""
        return toSendBuffer((ActorAddress(TCPv4ActorAddress("127.0.0.1", 1)), _Canary(self.canary)), pickle.dumps)  # type: ignore[no-any-return]


class _Canary:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self._path),))


def say(target: Target, *said: bytes) -> Connections:
    """Say it all, and wait until the other end hangs up, or has heard it and says nothing."""
    with target.connect() as connection, contextlib.suppress(OSError):
        for part in said:
            connection.sendall(part)
        _wait_for_the_end(connection)
    return []


def _wait_for_the_end(connection: socket.socket, limit: float = 10.0) -> None:
    """Read until the other end hangs up; one that is not a sealed one may wait for more."""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(limit)
    with contextlib.suppress(OSError):
        while connection.recv(65536):
            pass


def garbage(target: Target) -> Connections:
    return say(target, os.urandom(1_000_000))


def http(target: Target) -> Connections:
    return say(target, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")


def tls_hello(target: Target) -> Connections:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return say(target, outgoing.read())


def thespian_frame(target: Target) -> Connections:
    return say(target, target.message())


def enormous_length(target: Target) -> Connections:
    return say(target, b"99999999999>", bytes(1_000_000))


def endless_length(target: Target) -> Connections:
    return say(target, b"1" * 3_000_000)


def sealed(target: Target, seal: Seal, flip: int | None = None, *, again: int = 0) -> bytes:
    """Say the message as one who has a key would, and its frame `again`; return all that was said."""
    with target.connect() as connection:
        by_hand = ByHand(connection, seal, flip)
        with contextlib.suppress(OSError):
            by_hand.greet()
            frame = by_hand.frame(target.message())
            by_hand.send(frame)
            for _ in range(again):
                connection.sendall(frame)
            _wait_for_the_end(connection)
    return by_hand.said


def bits_of(target: Target) -> range:
    """Every bit of what one who has the key would say."""
    return range(8 * (len(Seal.GREETING) + 32 + 32 + 4 + len(target.message()) + Seal.OVERHEAD))


def one_bit_changed(target: Target) -> Connections:
    for bit in bits_of(target):
        sealed(target, Seal(target.key), bit)
    return []


def other_tree(target: Target) -> Connections:
    sealed(target, Seal(OTHER_KEY))
    return []


def expect_effect(target: Target) -> None:
    """What was sealed with the right key makes a folder, which is removed again."""
    poll_until(target.canary.exists, 5, "what was sealed with the right key has an effect")
    target.canary.rmdir()


def replay(target: Target) -> Connections:
    """What was said once, and had its effect, is said again: to the same process, and once more in the same connection."""
    said = sealed(target, Seal(target.key), again=1)
    expect_effect(target)
    return say(target, said)


def idle(target: Target) -> Connections:
    return [target.connect() for _ in range(IDLE)]


def one_byte_a_second(target: Target) -> Connections:
    """A greeting that would be right, except for its pace."""
    connection = target.connect()
    connection.setblocking(False)
    return [connection]


def drip(connections: Connections, seconds: float) -> Connections:
    """A byte a second in each; return those that were not hung up on."""
    alive, said = list(connections), Seal.GREETING + bytes(64)
    for number in range(int(seconds)):
        for connection in list(alive):
            try:
                connection.send(said[number : number + 1])
            except OSError:
                alive.remove(connection)
        if alive:
            time.sleep(1.0)
            over = select.select(alive, [], [], 0)[0]
            alive = [connection for connection in alive if connection not in over]
    return alive


ATTACKS: dict[str, tuple[Callable[[Target], Connections], Why]] = {
    "garbage": (garbage, Why.UNSEALED),
    "http": (http, Why.UNSEALED),
    "tls hello": (tls_hello, Why.UNSEALED),
    "a frame of Thespian's": (thespian_frame, Why.UNSEALED),
    "a length of 99999999999": (enormous_length, Why.UNSEALED),
    "a length with no end": (endless_length, Why.UNSEALED),
    "one bit changed": (one_bit_changed, Why.FORGED),
    "another tree's frame": (other_tree, Why.FORGED),
    "a replay": (replay, Why.FORGED),
    "200 idle connections": (idle, Why.TOO_SLOW),
    "one byte a second": (one_byte_a_second, Why.TOO_SLOW),
}
"""What is done, and what the journal says was refused by a process that actors talk to."""
FOR_SEALED_ONLY = (one_bit_changed, other_tree, replay)
