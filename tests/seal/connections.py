"""Connections over real TCP for the tests of the seal: between two sealed ends, and by somebody who makes every byte by hand."""

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from suptree.control.seal.encrypted_seal import EncryptedSeal
from suptree.control.seal.seal import NONCE_BYTES, PROOF_BYTES, Seal, Session, transcript_of
from suptree.control.seal.sealed_socket import SealedSocket

KEY = bytes(range(32))
OTHER_KEY = bytes(32)
SEALS = (Seal, EncryptedSeal)
LIMIT = 5.0


@contextmanager
def tcp_pair(port: int = 0) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection of plain sockets: the end that connected, and the other, which has that port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server:
            yield client, server


@dataclass
class Ends:
    """Two sealed ends, of which the first connected."""

    client: SealedSocket
    server: SealedSocket

    def greet(self) -> None:
        """Let both prove themselves, as far as they can."""
        self.client.greet()
        pump(self.server)
        pump(self.client)


@contextmanager
def sealed_pair(client: Seal, server: Seal) -> Iterator[Ends]:
    """A connection of sealed sockets, before anything was said."""
    with tcp_pair() as (plain_client, plain_server):
        family, kind, proto = plain_client.family, plain_client.type, plain_client.proto
        with (
            SealedSocket(client, family, kind, proto, plain_client.detach()) as one,
            SealedSocket.accepted(server, plain_server) as other,
        ):
            one.setblocking(False)
            other.setblocking(False)
            yield Ends(one, other)


def pump(end: SealedSocket) -> bool:
    """Wait until something comes, and take it in."""
    readable, _, _ = select.select([end], [], [], LIMIT)
    assert readable, "nothing came"
    return end.pump()


def hear(end: SealedSocket) -> bytes:
    """The next message, as soon as it is there; empty when the other end has hung up or was refused."""
    while not pump(end):
        pass
    return end.recv()


def say(speaker: SealedSocket, listener: SealedSocket, message: bytes) -> bytes:
    """What the other end hears; empty when it has hung up."""
    speaker.send(message)
    while not pump(listener):
        speaker.flush()
    return listener.recv()


class ByHand:
    """A client whose every byte can be changed before it is sent."""

    def __init__(self, connection: socket.socket, seal: Seal, flip: int | None = None) -> None:
        self._connection = connection
        self._seal = seal
        self._flip = flip
        self.session: Session | None = None
        self.said = b""
        """Everything that was sent, as it was sent."""

    def greet(self, server: SealedSocket | None = None) -> None:
        """The greeting, and the proof when there is an answer; a server of our own is made to answer, or to hang up."""
        nonce = self._seal.nonce()
        self.send(self._seal.GREETING + nonce)
        if server is not None and pump(server):
            server.close()
        answer = b""
        while len(answer) < NONCE_BYTES + PROOF_BYTES:
            got = self._connection.recv(1000)
            if not got:
                raise ConnectionResetError
            answer += got
        transcript = transcript_of(nonce, answer[:NONCE_BYTES], self._connection.getpeername()[:2])
        self.session = self._seal.session(transcript, is_server=False)
        self.send(self._seal.client_proof(transcript))

    def frame(self, message: bytes) -> bytes:
        """The next frame, with its length."""
        assert self.session is not None
        frame = self.session.seal(message)
        return len(frame).to_bytes(4, "big") + frame

    def send(self, data: bytes) -> None:
        """Send bytes; the bit that is to be flipped is, when its turn comes."""
        bit = None if self._flip is None else self._flip - 8 * len(self.said)
        if bit is not None and 0 <= bit < 8 * len(data):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << (bit % 8)
            data = bytes(changed)
        self.said += data
        self._connection.sendall(data)
