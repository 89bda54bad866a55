"""One pass over the files of a log: across rotations, deletion and emptying, each line once, and a mark where some are missing."""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..kernel.lossy_file import begins_at
from ..kernel.private_files import open_to_read
from .output_log import rotated_path

_BLOCK = 1024 * 1024
_HELD = 6
"""So many files, of 16 MiB each, wait for a slow reader at most: with them goes their place on the disk."""
# The time of its first entry tells a file that was emptied and has grown again from what it was before.
_HEAD = 24


class LogFiles:
    """Reads a log once, from its last lines on; it keeps the file open that it reads, so a rotation takes nothing away from it.

    Raises OSError where there is something that cannot be read, and nothing where there is no file.
    """

    def __init__(self, path: Path, lines: int) -> None:
        # The younger first: a rotation in between shows it a second time, and hides none.
        self._lock = threading.Lock()
        self._is_closed = False
        self._places = (path, rotated_path(path))
        self._file: BinaryIO | None = None
        self._coming: deque[BinaryIO] = deque()
        """The files that were begun after the one that is read, oldest first."""
        self._head = b""
        found = 0
        for place in self._places:
            file = _open(place)
            if file is not None:
                found = 0 if self._reads(file) else found
                self._leave()
                self._file = file
                found += _seek_to_last(file, max(lines, 0) - found)
            if self._file is not None and found >= lines:
                break
        self.rest = b""

    def lines(self) -> Iterator[str]:
        """Every line that has ended and was not read yet; the beginning of one that has not is the `rest`."""
        while True:
            # Before the end is looked for: once there is a next file, nobody writes to this one.
            self.look()
            there_is_more = bool(self._coming)
            if self._was_emptied():
                yield from self._end_rest()
                yield _mark("somebody emptied the log; what was written to it last may be missing")
                assert self._file is not None  # noqa: S101
                self._file.seek(0)
            while self._file is not None and (data := self._file.read(_BLOCK)):
                *ended, self.rest = (self.rest + data).split(b"\n")
                yield from map(text, ended)
            if not there_is_more:
                return
            yield from self._end_rest()
            with self._lock:
                following, last = self._coming.popleft(), self._file
                self._file, self._head = following, b""
            if last is not None:
                skipped = _between(last, following)
                last.close()
                if skipped:
                    yield _mark(f"{skipped} bytes of output are skipped: they came faster than they were read, and are no longer kept")

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            self._is_closed = True
            self._leave()
            while self._coming:
                self._coming.popleft().close()

    def _leave(self) -> None:
        if self._file is not None:
            self._file.close()

    def _end_rest(self) -> Iterator[str]:
        if self.rest:
            yield text(self.rest)
        self.rest = b""

    def _was_emptied(self) -> bool:
        if self._file is None:
            return False
        position, head = self._file.tell(), os.pread(self._file.fileno(), _HEAD, 0)
        # Secrets are overwritten with asterisks.
        same = all(is_now in (was, ord("*")) for was, is_now in zip(self._head, head, strict=False))
        emptied = position > 0 and (not same or os.fstat(self._file.fileno()).st_size < position)
        self._head = head
        return emptied

    def look(self) -> None:
        """Open what was begun since the last look: while it is open, further rotations do not take it away. Any thread may call this."""
        with self._lock:
            if self._is_closed or not self._is_begun():
                return
            newest, older = map(_open_later, self._places)
            begun = self._begun(newest, older)
            for file in (newest, older):
                if file is not None and file not in begun:
                    file.close()
            self._coming += begun
            while len(self._coming) > _HELD:
                self._coming.popleft().close()

    def _is_begun(self) -> bool:
        """Whether there may be a file that is not known: to ask for that costs far less than to open one."""
        last = self._coming[-1] if self._coming else self._file
        with contextlib.suppress(OSError):
            found = self._places[0].stat()
            return last is None or not os.path.samestat(found, os.fstat(last.fileno()))
        return False

    def _begun(self, newest: BinaryIO | None, older: BinaryIO | None) -> list[BinaryIO]:
        """Those of the two that were begun after all that is known, oldest first."""
        last = self._coming[-1] if self._coming else self._file
        if newest is None or (last is not None and _same(newest, last)):
            return []
        # The younger was opened first: a rotation in between shows it a second time.
        if older is None or _same(older, newest) or self._has(older) or (last is not None and _begin(older) < _begin(last)):
            return [newest]
        return [older, newest]  # two rotations since the last look, or the first look of all

    def _has(self, file: BinaryIO) -> bool:
        return self._reads(file) or any(_same(file, coming) for coming in self._coming)

    def _reads(self, file: BinaryIO) -> bool:
        return self._file is not None and _same(file, self._file)


def _same(file: BinaryIO, other: BinaryIO) -> bool:
    return os.path.sameopenfile(file.fileno(), other.fileno())


def text(line: bytes) -> str:
    """A line, whatever it holds."""
    return line.decode("utf-8", "replace")


def _mark(what: str) -> str:
    return f"[suptree] {what}"


def _between(file: BinaryIO, following: BinaryIO) -> int:
    """How many bytes were written after the end of one file and before the beginning of another."""
    return max(0, _begin(following) - _begin(file) - os.fstat(file.fileno()).st_size)


def _begin(file: BinaryIO) -> int:
    return begins_at(file.fileno())


def _open(path: Path) -> BinaryIO | None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return open_to_read(path)
    return None


def _open_later(path: Path) -> BinaryIO | None:
    """The same while it is read: what is forbidden now may be allowed again."""
    with contextlib.suppress(OSError):
        return open_to_read(path)
    return None


def _seek_to_last(file: BinaryIO, lines: int) -> int:
    """Go to where the last `lines` lines begin; return how many there are from there on."""
    found, start = 0, file.seek(0, os.SEEK_END)
    while start > 0:
        end, start = start, max(0, start - _BLOCK)
        file.seek(start)
        block = file.read(end - start)
        here = block.count(b"\n")
        if found + here > lines:
            position = len(block)
            for _ in range(lines + 1 - found):
                position = block.rindex(b"\n", 0, position)
            file.seek(start + position + 1)
            return lines
        found += here
    file.seek(0)
    return found
