"""The frame reader, fed by somebody who does not have the key: at every step of the conversation, in pieces of any size."""

import contextlib
import socket
from collections.abc import Callable

from suptree.control.seal.encrypted_seal import EncryptedSeal
from suptree.control.seal.seal import NONCE_BYTES, Seal, transcript_of
from suptree.control.seal.sealed_socket import SealedSocket

_KEY = bytes(range(32))
_ADDRESS = ("127.0.0.1", 1)
_BEFORE_A_PROOF = 64


class _Here(SealedSocket):
    """One end of a pair without an address."""

    def getsockname(self) -> tuple[str, int]:
        return _ADDRESS

    def getpeername(self) -> tuple[str, int]:
        return _ADDRESS


def _nothing(_there: socket.socket, _here: SealedSocket, _seal: Seal) -> None:
    pass


def _greeted(there: socket.socket, here: SealedSocket, seal: Seal) -> bytes:
    nonce = bytes(NONCE_BYTES)
    there.send(seal.GREETING + nonce)
    assert not here.pump()
    return transcript_of(nonce, there.recv(1000)[:NONCE_BYTES], _ADDRESS)


def _proved(there: socket.socket, here: SealedSocket, seal: Seal) -> None:
    there.send(seal.client_proof(_greeted(there, here, seal)))
    assert not here.pump()
    assert here.is_open


_STEPS: tuple[Callable[[socket.socket, SealedSocket, Seal], object], ...] = (_nothing, _greeted, _proved)


def one_input(data: bytes) -> None:
    """The first byte says which seal, which step, and how large the pieces are; nothing of the rest is ever heard."""
    if not data:
        return
    how, rest = data[0], data[1:]
    seal = (Seal, EncryptedSeal)[how & 1](_KEY)
    step = (how >> 1) & 3
    here, there = socket.socketpair()
    with there, _Here(seal, here.family, here.type, here.proto, here.detach(), is_server=step < len(_STEPS)) as sealed:
        sealed.setblocking(False)
        if step < len(_STEPS):
            _STEPS[step](there, sealed, seal)
        else:
            sealed.greet()
        was_open = sealed.is_open
        size = 1 + (how >> 3) * 7
        for start in range(0, len(rest), size):
            with contextlib.suppress(OSError):
                there.send(rest[start : start + size])
            if sealed.pump():
                assert b"" == sealed.recv()
                assert sealed.refused is not None
                return
            assert was_open or len(sealed._got) < _BEFORE_A_PROOF
        assert was_open == sealed.is_open


def seeds() -> list[bytes]:
    """A beginning of each step, with each seal."""
    said = [
        b"18>\x80\x04",
        b"99999999999>",
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(64),
        Seal.GREETING + bytes(32),
        EncryptedSeal.GREETING + bytes(32),
    ]
    return [bytes([(size << 3) | (step << 1) | kind]) + text for size in (0, 31) for step in range(4) for kind in (0, 1) for text in said]
