"""The seal: how two processes of one tree prove to each other that they have its key, and keep what they then say authentic.

Nothing of sockets or Thespian stands here. The one that connects says `hello`, the other answers with a nonce and its proof, and the first
gives its own proof. Both proofs, and the keys of the session, depend on the tree's key, both nonces, and the address that was connected to:
what was said in one connection is worth nothing in another, in the other direction, or at another process.
"""

import os
from hashlib import blake2b
from hmac import compare_digest
from typing import ClassVar

from ..refusals import Why

NONCE_BYTES = 32
PROOF_BYTES = 32
_TAG_BYTES = 16


class SealBroken(Exception):
    """What came does not bear the seal."""

    def __init__(self, why: Why) -> None:
        self.why = why
        super().__init__(why.value)


class Session:
    """One connection, as one end sees it: the frames of each direction are numbered, and authenticated with a key of their own."""

    OVERHEAD: ClassVar[int] = _TAG_BYTES

    def __init__(self, send_key: bytes, receive_key: bytes) -> None:
        self._send = blake2b(key=send_key, digest_size=_TAG_BYTES)
        self._receive = blake2b(key=receive_key, digest_size=_TAG_BYTES)
        self._sent = self._received = 0

    def seal(self, payload: bytes) -> bytes:
        """The next frame to send."""
        self._sent += 1
        return payload + _tag(self._send, self._sent, payload)

    def open(self, frame: bytes) -> bytes:
        """The payload of the frame that was sent next. Raises SealBroken for any other."""
        self._received += 1
        payload, tag = frame[:-_TAG_BYTES], frame[-_TAG_BYTES:]
        if not compare_digest(tag, _tag(self._receive, self._received, payload)):
            raise SealBroken(Why.FORGED)
        return payload


class Seal:
    """Authenticates, and does not hide: for loopback, where nobody listens in who could not do worse."""

    GREETING: ClassVar[bytes] = b"suptree seal 1 \n"
    """How a connection begins; other seals begin otherwise, so that nobody can be talked into a weaker one."""
    OVERHEAD: ClassVar[int] = Session.OVERHEAD

    def __init__(self, key: bytes) -> None:
        self._key = key

    @staticmethod
    def nonce() -> bytes:
        """What makes a connection unlike any other."""
        return os.urandom(NONCE_BYTES)

    def server_proof(self, transcript: bytes) -> bytes:
        """What only a holder of the key can say of this connection, by the end that was connected to."""
        return self._derive(b"server", transcript)

    def client_proof(self, transcript: bytes) -> bytes:
        """The same, by the end that connected."""
        return self._derive(b"client", transcript)

    def session(self, transcript: bytes, *, is_server: bool) -> Session:
        """The session of this connection, at one of its ends."""
        to_server, to_client = self._derive(b"to server", transcript), self._derive(b"to client", transcript)
        return self._session(to_client, to_server) if is_server else self._session(to_server, to_client)

    def _session(self, send_key: bytes, receive_key: bytes) -> Session:
        return Session(send_key, receive_key)

    def _derive(self, purpose: bytes, transcript: bytes) -> bytes:
        return blake2b(self.GREETING + transcript, key=self._key, digest_size=PROOF_BYTES, person=purpose).digest()


def transcript_of(client_nonce: bytes, server_nonce: bytes, address: tuple[str, int]) -> bytes:
    """What both ends of a connection must agree on; `address` is the one that was connected to."""
    return client_nonce + server_nonce + f"{address[0]}:{address[1]}".encode()


def proves(proof: bytes, expected: bytes) -> bool:
    """Whether a proof is the expected one, in the same time whatever it is."""
    return compare_digest(proof, expected)


def _tag(keyed: "blake2b", number: int, payload: bytes) -> bytes:
    tag = keyed.copy()
    tag.update(number.to_bytes(8, "big"))
    tag.update(payload)
    return tag.digest()
