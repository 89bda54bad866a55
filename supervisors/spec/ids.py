"""The ids of children, and which of them are no agent's."""

import re

ROOT = "root"
"""The supervisor below which all others are."""

RESERVED_IDS = frozenset({ROOT, "top", "registry", "heartbeat"})

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def fault_of_id(name: object) -> str | None:
    """What is wrong with an id or a tree's name, if anything; it becomes part of file names and commands."""
    if isinstance(name, str) and _ID.fullmatch(name):
        return None
    return "an id is 1 to 64 letters (a-z, A-Z), digits, or any of - _ . and starts with a letter or a digit"
