"""Reading `env_from`: a file of secrets, NAME=value a line, that nobody else may read (a subset of systemd's `EnvironmentFile=`)."""

import os
import re
import stat
from pathlib import Path

from ..kernel.trusted_folder import FolderNotTrusted, trusted_folder

_LIMIT = 256 * 1024
_ASSIGNMENT = re.compile(
    r"""[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_]\w*)[ \t]*=[ \t]*
        (?:"(?P<double>(?:[^"\\]|\\.)*)"[ \t\r]* | '(?P<single>[^']*)'[ \t\r]* | (?P<bare>[^\s"'][^\n]*)? | \r?)
        (?:\n|\Z)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_NOTHING = re.compile(r"[ \t\r]*(?:[#;][^\n]*)?(?:\n|\Z)")
_ESCAPED = re.compile(r'\\(["\\$`]|\n)')


class EnvFileRefused(Exception):
    """The file cannot be read, others may read or replace it, or it holds something else; the text says which, without what is in it."""


def read_env_file(path: str) -> dict[str, str]:
    """The variables of a file. Raises EnvFileRefused."""
    try:
        with trusted_folder(Path(path).parent) as folder:
            # Held, and not opened before it is known what it is: to open a pipe waits for as long as another user likes.
            held = os.open(Path(path).name, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=folder)
        try:
            _check(os.fstat(held), path)
            descriptor = os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        finally:
            os.close(held)
    except FolderNotTrusted as refused:
        raise EnvFileRefused(f"could be replaced by somebody else: {refused}: {path}") from None
    except OSError as error:
        raise EnvFileRefused(f"cannot be read: {error.strerror}: {path}") from None
    try:
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(_LIMIT + 1)
    except OSError as error:
        raise EnvFileRefused(f"cannot be read: {error.strerror}: {path}") from None
    finally:
        os.close(descriptor)
    if data is None:
        # Of the kernel's log, say, whose text may come later.
        raise EnvFileRefused(f"cannot be read without waiting: {path}")
    if len(data) > _LIMIT:
        raise EnvFileRefused(f"is larger than {_LIMIT // 1024} KiB: {path}")
    try:
        return _parse(data.decode(), path)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise EnvFileRefused(f"line {line} is not UTF-8: {path}") from None


def _check(found: os.stat_result, path: str) -> None:
    """As ssh checks a private key; root's files may also be meant for a group."""
    if stat.S_ISLNK(found.st_mode):
        raise EnvFileRefused(f"is a link: name the file that it leads to: {path}")
    if not stat.S_ISREG(found.st_mode):
        raise EnvFileRefused(f"is not a regular file: {path}")
    own = os.geteuid()
    if found.st_uid not in (own, 0):
        raise EnvFileRefused(f"belongs to another user: {path}")
    if found.st_mode & (0o077 if found.st_uid == own else 0o027):
        raise EnvFileRefused(f"may be read by others (mode {stat.S_IMODE(found.st_mode):04o}): chmod 600 {path}")


def _parse(text: str, path: str) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        if nothing := _NOTHING.match(text, position):
            position = nothing.end()
            continue
        assignment = _ASSIGNMENT.match(text, position)
        line = text.count("\n", 0, position) + 1
        if assignment is None:
            raise EnvFileRefused(f"line {line} is not NAME=value: {path}")
        position = assignment.end()
        value = assignment["single"] or (assignment["bare"] or "").rstrip(" \t\r")
        if assignment["double"] is not None:
            value = _ESCAPED.sub(lambda escape: "" if escape[1] == "\n" else escape[1], assignment["double"])
        elif assignment["bare"] and value.endswith("\\"):
            raise EnvFileRefused(f"line {line} ends with a backslash, which means nothing here: put the value into quotes: {path}")
        if "\0" in value:
            raise EnvFileRefused(f"line {line} has a NUL character: {path}")
        found[assignment["name"]] = value
    return found
