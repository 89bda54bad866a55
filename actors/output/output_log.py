"""What an agent prints, kept in a file of its own: one line each, with time, incarnation and stream."""

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from ..kernel.private_files import open_private

_ROTATE_AT = 16 * 1024 * 1024
_TAIL_LINES = 20
_TAIL_WIDTH = 500
_COPY_CHUNK = 256 * 1024
_LOST = b"[suptree] output before this is missing: the disk was full"

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""The errors that say so."""


def log_path(state_dir: str, agent_id: str) -> Path:
    """Where an agent's output is kept."""
    return Path(state_dir) / "logs" / f"{agent_id}.log"


def rotated_path(path: Path) -> Path:
    """Where the file is kept that was full before this one: beside it, as `ID.log.1`."""
    return path.with_name(path.name + ".1")


def _as_it_is(text: bytes) -> bytes:
    return text


def _open(path: Path) -> BinaryIO:
    return os.fdopen(open_private(path), "ab", buffering=0)


class OutputLog:
    """Writes lines to a file that rotates by size, and remembers the last few of each stream.

    Whatever is kept has passed `clean`: it gets whole lines, several at a time with newlines between them, and may change what is in them,
    but not how many they are. A very long line comes in pieces; see LineSplitter.
    """

    def __init__(self, path: Path, incarnation: int) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._incarnation = incarnation
        self._file = _open(path)
        self._lost = False
        self._redirected: list[int] = []
        self.clean: Callable[[bytes], bytes] = _as_it_is
        self.tails: dict[str, deque[str]] = {"out": deque(maxlen=_TAIL_LINES), "err": deque(maxlen=_TAIL_LINES)}

    @property
    def folder(self) -> Path:
        """Where its files stand."""
        return self._path.parent

    @property
    def size(self) -> int:
        """How many bytes the file holds that is written now."""
        return os.fstat(self._file.fileno()).st_size

    @property
    def last_error(self) -> str | None:
        """The last line of the error output that is not empty."""
        return next((line for line in reversed(self.tails["err"]) if line.strip()), None)

    def write(self, stream: str, lines: bytes) -> None:
        """Keep one line of `out` or `err`, or several with newlines between them."""
        lines = self.clean(lines)
        prefix = self._prefix(stream)
        # What came at once has one time: so the work for each line is done in C, and the file is written once.
        entries = b"".join((prefix, lines.replace(b"\n", b"\n" + prefix), b"\n"))
        if self._lost:
            self._lost = False
            entries = b"\n" + prefix + _LOST + b"\n" + entries
        self._make_room(len(entries))
        self._append(entries)
        for line in lines.rsplit(b"\n", _TAIL_LINES)[-_TAIL_LINES:]:
            self._remember(stream, line)

    def write_long(self, stream: str, line: BinaryIO) -> None:
        """Keep one line that has passed `clean` already, from the beginning of a file to where it stands now."""
        size = line.tell()
        line.seek(0)
        self._remember(stream, line.read(_TAIL_WIDTH))
        line.seek(0)
        self._make_room(size)
        self._append(self._prefix(stream))
        while piece := line.read(_COPY_CHUNK):
            self._append(piece)
        self._append(b"\n")

    def redirect(self, descriptor: int) -> None:
        """Let a descriptor lead to the file as well, also after it has rotated."""
        self._redirected.append(descriptor)
        os.dup2(self._file.fileno(), descriptor)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _prefix(self, stream: str) -> bytes:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{stamp} #{self._incarnation} {stream} ".encode()

    def _remember(self, stream: str, line: bytes) -> None:
        self.tails[stream].append(line[:_TAIL_WIDTH].decode("utf-8", "replace"))

    def _make_room(self, size: int) -> None:
        used = os.fstat(self._file.fileno()).st_size
        if used and used + size > _ROTATE_AT:
            self._rotate()

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file.fileno(), rest) :]
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            # The agent goes on: its output is read as before, and where some is missing the log says so.
            self._lost = True

    def _rotate(self) -> None:
        self._file.close()
        with contextlib.suppress(FileNotFoundError):  # somebody tidied up
            self._path.replace(rotated_path(self._path))
        self._file = _open(self._path)
        for descriptor in self._redirected:
            os.dup2(self._file.fileno(), descriptor)
