"""The bearer token of a tree's TCP door: made at first use, kept in a file of its owner alone, and read anew for each request."""

import hmac
import secrets
from pathlib import Path

from suptree.actors.errors import SuptreeError

from ..trees.secret_file import SecretFile

_BYTES = 32


class TokenFile:
    """A tree's token, in a file of mode 0600."""

    def __init__(self, path: Path) -> None:
        self._file = SecretFile(path, "make a new token with `suptree token --rotate`")

    def ensure(self) -> str:
        """The token; a new one when there is none yet. Raises SuptreeError when the file is no safe place for one."""
        self._file.ensure(_new())
        return self._read()

    def rotate(self) -> str:
        """A new token, instead of the old one, which from now on opens nothing."""
        self._file.replace(_new())
        return self._read()

    def current(self) -> bytes | None:
        """The token as it is now; None, which nothing equals, when there is none or its file is unsafe."""
        try:
            return self._read().encode()
        except SuptreeError:
            return None

    def _read(self) -> str:
        text = self._file.read().decode("ascii", "replace").strip()
        if len(text) < _BYTES or not text.isascii():
            raise self._file.refused("holds no token")
        return text


def _new() -> bytes:
    return secrets.token_urlsafe(_BYTES).encode() + b"\n"


def same(given: bytes, token: bytes | None) -> bool:
    """Whether these are the same token, in a time that does not tell where they differ."""
    return hmac.compare_digest(given, token if token is not None else secrets.token_bytes(_BYTES))
