"""A connection between two processes of one tree, for a transport that never waits.

Before the other end has proved that it has the tree's key, at most 64 bytes of it are kept, and it hears nothing but a nonce and a proof.
"""

import contextlib
import errno
import socket
from collections.abc import Callable
from typing import Any

from ..refusals import Why
from .seal import NONCE_BYTES, PROOF_BYTES, Seal, SealBroken, Session, proves, transcript_of

FRAME_LIMIT = 64 * 1024 * 1024
"""Bytes of one message at most; a process that has the key does not send more, and one that has not is not heard at all."""

_LENGTH_BYTES = 4
_READ_SIZE = 1024 * 1024


class SealedSocket(socket.socket):
    """A socket whose `send` seals a whole message, and whose `recv` returns one that was sealed with the tree's key, or nothing.

    `refused` says why the other end is not listened to any longer, if it was refused.
    """

    def __init__(
        self, seal: Seal, family: int = -1, kind: int = -1, proto: int = -1, fileno: int | None = None, *, is_server: bool = False
    ) -> None:
        super().__init__(family, kind, proto, fileno)
        self.is_open = False
        """Whether the other end has proved that it has the key."""
        self.refused: Why | None = None
        self._seal = seal
        self._session: Session | None = None
        self._nonce: bytes | None = None
        self._transcript = b""
        self._unsent = bytearray()
        self._got = bytearray()
        self._frame: bytes | None = None
        self._over = False
        self._wanted = len(seal.GREETING) + NONCE_BYTES if is_server else NONCE_BYTES + PROOF_BYTES
        # Not bound to this object: a socket that refers to itself is not closed when it is dropped.
        self._take: Callable[[SealedSocket, bytes], None] = SealedSocket._take_hello if is_server else SealedSocket._take_answer

    @classmethod
    def accepted(cls, seal: Seal, connection: socket.socket) -> "SealedSocket":
        """The end that was connected to."""
        return cls(seal, connection.family, connection.type, connection.proto, connection.detach(), is_server=True)

    def greet(self) -> None:
        """Begin, at the end that connected; once is enough."""
        if self._nonce is None:
            nonce = self._seal.nonce()
            hello = self._seal.GREETING + nonce
            # The first bytes of a connection always have room.
            if super().send(hello) != len(hello):
                raise ConnectionResetError
            self._nonce = nonce

    @property
    def has_greeted(self) -> bool:
        """Whether it has begun."""
        return self._nonce is not None

    def send(self, data: Any, _flags: int = 0, /) -> int:
        """Seal a message and send as much of it as there is room for (`flush` sends the rest); 0 while the other end has proved nothing."""
        if not self.is_open or self._session is None:
            self.greet()
            return 0
        frame = self._session.seal(bytes(data))
        self._unsent += len(frame).to_bytes(_LENGTH_BYTES, "big")
        self._unsent += frame
        try:
            self.flush()
        except OSError as error:
            # Thespian takes a broken pipe for a dead process, and does not survive others; whether it is dead shows when it is tried again.
            raise ConnectionResetError(errno.ECONNRESET, str(error)) from error
        return len(data)

    def flush(self) -> bool:
        """Send what had no room before; whether that was all."""
        with contextlib.suppress(BlockingIOError):
            while self._unsent:
                del self._unsent[: super().send(self._unsent)]
        return not self._unsent

    def recv(self, _limit: int = 0, _flags: int = 0, /) -> bytes:
        """The next message, whole; empty when the connection is over. Raises BlockingIOError when neither is the case yet."""
        if not self.pump():
            raise BlockingIOError
        frame, self._frame = self._frame, None
        return b"" if frame is None else frame

    def pump(self) -> bool:
        """Take in what has come; whether `recv` has an answer."""
        while self._frame is None and not self._over:
            missing = self._wanted - len(self._got)
            try:
                got = super().recv(min(missing, _READ_SIZE))
            except BlockingIOError:
                return False
            except OSError:
                got = b""
            if not got:
                self._over = True
                break
            self._got += got
            try:
                self._check_greeting()
                if len(got) == missing:
                    taken, self._got = bytes(self._got), bytearray()
                    self._take(self, taken)
            except SealBroken as broken:
                self.refused, self._over = broken.why, True
                self._got.clear()
            except OSError:
                self._over = True
        return True

    # What comes, in order

    def _check_greeting(self) -> None:
        """A process that does not begin as ours do is not listened to any longer."""
        if self._take is SealedSocket._take_hello:
            greeting = self._seal.GREETING
            if self._got[: len(greeting)] != greeting[: len(self._got)]:
                raise SealBroken(Why.UNSEALED)

    def _take_hello(self, hello: bytes) -> None:
        nonce = self._seal.nonce()
        self._transcript = transcript_of(hello[-NONCE_BYTES:], nonce, self.getsockname()[:2])
        answer = nonce + self._seal.server_proof(self._transcript)
        if super().send(answer) != len(answer):
            raise ConnectionResetError
        self._session = self._seal.session(self._transcript, is_server=True)
        self._expect(PROOF_BYTES, SealedSocket._take_proof)

    def _take_proof(self, proof: bytes) -> None:
        if not proves(proof, self._seal.client_proof(self._transcript)):
            raise SealBroken(Why.FORGED)
        self._open()

    def _take_answer(self, answer: bytes) -> None:
        if self._nonce is None:
            raise SealBroken(Why.UNSEALED)
        transcript = transcript_of(self._nonce, answer[:NONCE_BYTES], self.getpeername()[:2])
        if not proves(answer[NONCE_BYTES:], self._seal.server_proof(transcript)):
            raise SealBroken(Why.FORGED)
        # Goes with the first message.
        self._unsent += self._seal.client_proof(transcript)
        self._session = self._seal.session(transcript, is_server=False)
        self._open()

    def _open(self) -> None:
        self.is_open = True
        self._expect(_LENGTH_BYTES, SealedSocket._take_length)

    def _take_length(self, length: bytes) -> None:
        wanted = int.from_bytes(length, "big")
        if not self._seal.OVERHEAD <= wanted <= FRAME_LIMIT + self._seal.OVERHEAD:
            raise SealBroken(Why.TOO_LARGE)
        self._expect(wanted, SealedSocket._take_frame)

    def _take_frame(self, frame: bytes) -> None:
        if self._session is None:
            raise SealBroken(Why.UNSEALED)
        self._frame = self._session.open(frame)
        self._expect(_LENGTH_BYTES, SealedSocket._take_length)

    def _expect(self, wanted: int, take: "Callable[[SealedSocket, bytes], None]") -> None:
        self._wanted, self._take = wanted, take
