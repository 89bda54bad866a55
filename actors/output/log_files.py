"""One pass over the files of a log: across rotations, deletion and emptying, each line once, and a mark where some are missing."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..kernel.lossy_file import begins_at
from ..kernel.private_files import open_to_read
from .output_log import rotated_path

_BLOCK = 1024 * 1024
# The time of its first entry tells a file that was emptied and has grown again from what it was before.
_HEAD = 24


class LogFiles:
    """Reads a log once, from its last lines on; it keeps the file open that it reads, so a rotation takes nothing away from it.

    Raises OSError where there is something that cannot be read, and nothing where there is no file.
    """

    def __init__(self, path: Path, lines: int) -> None:
        # The younger first: a rotation in between shows it a second time, and hides none.
        self._places = (path, rotated_path(path))
        self._file: BinaryIO | None = None
        self._head = b""
        found = 0
        for place in self._places:
            file = _open(place)
            if file is not None:
                found = 0 if self._reads(file) else found
                self.close()
                self._file = file
                found += _seek_to_last(file, max(lines, 0) - found)
            if self._file is not None and found >= lines:
                break
        self.rest = b""

    def lines(self) -> Iterator[str]:
        """Every line that has ended and was not read yet; the beginning of one that has not is the `rest`."""
        while True:
            # Before the end is looked for: once there is a next file, nobody writes to this one.
            following = self._next()
            if self._was_emptied():
                yield from self._end_rest()
                yield _mark("somebody emptied the log; what was written to it last may be missing")
                assert self._file is not None  # noqa: S101
                self._file.seek(0)
            while self._file is not None and (data := self._file.read(_BLOCK)):
                *ended, self.rest = (self.rest + data).split(b"\n")
                yield from map(text, ended)
            if following is None:
                return
            yield from self._end_rest()
            if self._file is not None and (skipped := _between(self._file, following)):
                yield _mark(f"{skipped} bytes of output are skipped: they came faster than they were read, and are no longer kept")
            self.close()
            self._file, self._head = following, b""

    def close(self) -> None:
        """Close the file."""
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

    def _next(self) -> BinaryIO | None:
        """The file that was begun after the one that is read, if there is one."""
        newest, older = map(_open_later, self._places)
        if newest is None or self._reads(newest):
            following = None
        elif older is None or self._reads(older) or (self._file is not None and _begin(older) < _begin(self._file)):
            following = newest
        else:
            following = older  # two rotations since the last look, or the first look of all
        for file in (newest, older):
            if file is not None and file is not following:
                file.close()
        return following

    def _reads(self, file: BinaryIO) -> bool:
        return self._file is not None and os.path.sameopenfile(self._file.fileno(), file.fileno())


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
