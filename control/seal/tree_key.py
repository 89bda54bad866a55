"""The key of a tree, with which the transport between its processes is sealed: 32 random bytes, made at the first start."""

import os
from hashlib import blake2b
from pathlib import Path

from ..trees.secret_file import SecretFile

_BYTES = 32


def key_path(state_dir: Path) -> Path:
    """Where the key of the tree is kept whose state is kept there."""
    return state_dir / "seal.key"


def tree_key(state_dir: Path) -> bytes:
    """The key of the tree, made now if there is none. Raises SuptreeError when others may know it."""
    file = _file(state_dir)
    file.ensure(os.urandom(_BYTES))
    key = file.read()
    if len(key) != _BYTES:
        raise file.refused(f"has not {_BYTES} bytes")
    return key


def rotate_key(state_dir: Path) -> None:
    """Give the tree a new key; a run that goes on keeps the one that it began with. Raises SuptreeError when it cannot be written."""
    _file(state_dir).replace(os.urandom(_BYTES))


def fingerprint(key: bytes) -> str:
    """What tells one key from another, and nothing else of it."""
    return blake2b(key, digest_size=8, person=b"fingerprint").hexdigest()


def _file(state_dir: Path) -> SecretFile:
    return SecretFile(key_path(state_dir), f"make another key with `suptree key --rotate --tree {state_dir.name}`")
