"""The bearer token of a tree's TCP door: made at first use, kept in a file of its owner alone, and read anew for each request."""

import hmac
import os
import secrets
import tempfile
from pathlib import Path

from suptree.actors.errors import SuptreeError

_BYTES = 32
_MOST_BYTES = 1024


class TokenFile:
    """A tree's token, in a file of mode 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ensure(self) -> str:
        """The token; a new one when there is none yet. Raises SuptreeError when the file is no safe place for one."""
        if not os.path.lexists(self._path):
            self._write(only_if_missing=True)
        return self._read()

    def rotate(self) -> str:
        """A new token, instead of the old one, which from now on opens nothing."""
        return self._write()

    def current(self) -> bytes | None:
        """The token as it is now; None, which nothing equals, when there is none or its file is unsafe."""
        try:
            return self._read().encode()
        except SuptreeError:
            return None

    def _read(self) -> str:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                found, text = os.fstat(descriptor), file.read(_MOST_BYTES).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SuptreeError(f"{self._path} cannot be read: make a new token with `suptree token --rotate`") from error
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise SuptreeError(f"{self._path} can be read by others: make a new token with `suptree token --rotate`")
        if len(text) < _BYTES:
            raise SuptreeError(f"{self._path} holds no token: make a new one with `suptree token --rotate`")
        return text

    def _write(self, *, only_if_missing: bool = False) -> str:
        token = secrets.token_urlsafe(_BYTES)
        try:
            # mkstemp's file is 0600 from its first moment on, and nobody ever sees half a token.
            descriptor, draft = tempfile.mkstemp(prefix=".token-", dir=self._path.parent)
            try:
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    file.write(token + "\n")
                if only_if_missing:
                    os.link(draft, self._path)
                else:
                    os.replace(draft, self._path)  # noqa: PTH105
            finally:
                Path(draft).unlink(missing_ok=True)
        except FileExistsError:
            return self._read()
        except OSError as error:
            raise SuptreeError(f"{self._path} cannot be written: {error.strerror}") from None
        return token


def same(given: bytes, token: bytes | None) -> bool:
    """Whether these are the same token, in a time that does not tell where they differ."""
    return hmac.compare_digest(given, token if token is not None else secrets.token_bytes(_BYTES))
