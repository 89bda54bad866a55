"""The key of a tree: 32 random bytes in a file of the tree's owner alone, made at the first start."""

import contextlib
import hashlib
import os
import stat
from pathlib import Path

from suptree.actors.errors import SuptreeError

KEY_BYTES = 32
_KEY_FILE = "seal.key"


def key_path(state_dir: Path) -> Path:
    """Where the key of the tree is kept whose state is kept there."""
    return state_dir / _KEY_FILE


def fingerprint(key: bytes) -> str:
    """What tells one key from another, and nothing else of it."""
    return hashlib.blake2b(key, digest_size=8, person=b"fingerprint").hexdigest()


def tree_key(state_dir: Path) -> bytes:
    """The key of the tree that is kept there, made now if there is none. Raises SuptreeError when it may be known to others."""
    path = key_path(state_dir)
    try:
        return _read(path)
    except FileNotFoundError:
        rotate_key(state_dir)
        return _read(path)


def rotate_key(state_dir: Path) -> None:
    """Give the tree a new key; a run that goes on keeps the one that it began with. Raises SuptreeError when it cannot be written."""
    path = key_path(state_dir)
    draft = path.with_suffix(".new")
    try:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise SuptreeError(f"{path} cannot be written: {error.strerror}") from None


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SuptreeError(f"{path}, the key of the tree, cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            fault = "is no regular file"
        elif found.st_uid != os.geteuid():
            fault = f"belongs to user {found.st_uid}, not to {os.geteuid()}"
        elif found.st_mode & 0o077:
            fault = f"has mode {stat.S_IMODE(found.st_mode):04o}, so that others may know it; 0600 would be right"
        elif len(key := os.read(descriptor, KEY_BYTES + 1)) != KEY_BYTES:
            fault = f"has not {KEY_BYTES} bytes"
        else:
            return key
    finally:
        os.close(descriptor)
    raise SuptreeError(f"{path}, the key of the tree, {fault}: make another with `suptree key --rotate`")
