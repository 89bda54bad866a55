"""The seal for addresses beyond loopback: what is said is also hidden, and refused when it comes late.

It is encrypted by the library `cryptography`, which the extra `cluster` brings.
"""

import time
from collections.abc import Callable
from typing import ClassVar

from suptree.actors.errors import SuptreeError

from ..refusals import Why
from .seal import Seal, SealBroken, Session

LATE_AFTER = 30.0
"""Seconds that a frame may take. Each end counts from the greeting, so the clocks of two machines need not agree."""

_NONCE_BYTES = 12
_TIME_BYTES = 8
_TAG_BYTES = 16


def _now() -> float:
    # Goes on while the machine sleeps.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class EncryptedSession(Session):
    """A session whose frames are encrypted (ChaCha20-Poly1305, with the frame's number as nonce), and say when they were sent."""

    OVERHEAD: ClassVar[int] = _TIME_BYTES + _TAG_BYTES

    def __init__(self, send_key: bytes, receive_key: bytes, now: Callable[[], float]) -> None:
        super().__init__(send_key, receive_key)
        # Loaded where somebody needs it: every actor would hold it.
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415

        self._encrypt, self._decrypt = ChaCha20Poly1305(send_key), ChaCha20Poly1305(receive_key)
        self._now = now
        self._began = now()

    def seal(self, payload: bytes) -> bytes:
        """The next frame to send."""
        self._sent += 1
        moment = int((self._now() - self._began) * 1_000_000).to_bytes(_TIME_BYTES, "big")
        return moment + self._encrypt.encrypt(self._sent.to_bytes(_NONCE_BYTES, "big"), payload, moment)

    def open(self, frame: bytes) -> bytes:
        """The payload of the frame that was sent next. Raises SealBroken for any other, and when it was sent too long ago."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415

        self._received += 1
        moment, hidden = frame[:_TIME_BYTES], frame[_TIME_BYTES:]
        try:
            payload = self._decrypt.decrypt(self._received.to_bytes(_NONCE_BYTES, "big"), hidden, moment)
        except InvalidTag:
            raise SealBroken(Why.FORGED) from None
        if self._now() - self._began - int.from_bytes(moment, "big") / 1_000_000 > LATE_AFTER:
            raise SealBroken(Why.LATE)
        return payload


class EncryptedSeal(Seal):
    """Authenticates and hides. Raises SuptreeError where it cannot."""

    GREETING: ClassVar[bytes] = b"suptree seal 2 \n"
    OVERHEAD: ClassVar[int] = EncryptedSession.OVERHEAD

    def __init__(self, key: bytes, now: Callable[[], float] = _now) -> None:
        super().__init__(key)
        self._now = now
        try:
            EncryptedSession(key, key, now)
        except ImportError:
            raise SuptreeError(
                "an address beyond loopback needs encryption, which is not installed: pip install 'suptree[cluster]'"
            ) from None

    def _session(self, send_key: bytes, receive_key: bytes) -> Session:
        return EncryptedSession(send_key, receive_key, self._now)
