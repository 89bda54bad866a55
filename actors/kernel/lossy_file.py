"""A file of ours that we append to, in whatever state it is: full, forbidden, gone, too big, or something else in its place.

One rule holds for all of these: the writer lives on, what is lost is counted and reported once, and the file is made again.
"""

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

import structlog

from .private_files import open_private, rename_private
from .trusted_folder import make_own

log = structlog.get_logger()

# In bytes of the chain of files, each being what followed when the one before was full: lets a reader say how much it has missed.
_BEGINS_AT = "user.suptree.begins_at"
# The file is gone, or what led to it; after any other fault of a look at it, the open file serves as well as before.
_GONE = (errno.ENOENT, errno.ENOTDIR)


class Losses:
    """What could not be written of one thing: reported when it begins and when it is over, counted in between."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.count = 0
        """Of what is lost and not mentioned in the file itself."""
        self.total = 0
        """Of all that was ever lost."""
        self.why = ""
        self._before = 0
        self._reported = False

    def add(self, error: OSError, count: int) -> None:
        """So much is lost."""
        self.count += count
        self.total += count
        self.why = error.strerror or type(error).__name__
        if not self._reported:
            self._reported = True
            self._say("not_written", error=self.why)

    def marked(self) -> None:
        """What was lost so far is mentioned in the file itself."""
        self.count = 0

    def over(self) -> None:
        """It can be written again."""
        if self._reported:
            self._say("written_again", lost=self.total - self._before)
            self.count, self._before, self._reported = 0, self.total, False

    def _say(self, event: str, **fields: object) -> None:
        # Where this goes may be as full.
        with contextlib.suppress(OSError, ValueError):
            log.warning(event, what=self._what, **fields)


class LossyFile:
    """Appends to a file that nobody else makes, with mode 0600; no fault of it is raised.

    Where it was deleted or moved away, `look` makes it again, and its folder too. `opened` is called with each new descriptor.
    `mark(count, why)` makes the line that is written before the first text after a loss.
    """

    def __init__(self, path: Path, mark: Callable[[int, str], bytes], opened: Callable[[int], None] = lambda _descriptor: None) -> None:
        self.path = path
        self.losses = Losses(str(path))
        self._mark = mark
        self._opened = opened
        self._descriptor: int | None = None
        self._torn = False
        self._rotates = True
        with contextlib.suppress(OSError):  # the first write tries again, and reports it
            self._open()

    @property
    def previous(self) -> Path:
        """Where the file is kept that was full before this one: beside it, with `.1`."""
        return self.path.with_name(self.path.name + ".1")

    @property
    def descriptor(self) -> int | None:
        """What leads to the file; None while it cannot be opened."""
        return self._descriptor

    @property
    def size(self) -> int:
        """How many bytes the file holds that is written now."""
        with contextlib.suppress(OSError):
            if self._descriptor is not None:
                return os.fstat(self._descriptor).st_size
        return 0

    def look(self) -> int:
        """Make the file again if it is gone; return its size in bytes, 0 when there is none."""
        try:
            there = self.path.stat()
            if self._descriptor is not None and (there.st_dev, there.st_ino) == self._identity:
                return there.st_size
        except OSError as error:
            if error.errno not in _GONE:
                return self.size
        try:
            return self._open()
        except OSError:
            # What would be written to a file that is gone would be lost and not counted.
            self.close()
            return 0

    def append_part(self, data: bytes) -> None:
        """Write a part of a line that goes on with the next `append`."""
        self._append(data, part=True)

    def append(self, data: bytes) -> None:
        """Write some lines, each with its newline; call `look` before."""
        self._append(data, part=False)

    def _append(self, data: bytes, *, part: bool) -> None:
        lost = self.losses.count
        mark = self._mark(lost, self.losses.why) if lost else b""
        if self._torn:
            mark = b"\n" + mark
        text = mark + data if mark else data
        position, fault = 0, None
        try:
            if self._descriptor is None:
                self._open()
            while position < len(text) and fault is None:
                position, fault = self._write(text, position)
        except OSError as error:
            fault = error
        if fault is not None and position <= len(mark):
            # A disk that is all but full: the mark comes with the first text after it.
            self._cut(position)
            position = 0
        elif lost:
            self.losses.marked()
        if fault is None:
            self._torn = False
            if not part and self._rotates:
                self.losses.over()
        else:
            self._torn = not self._ends_well()
            self.losses.add(fault, len(text) - max(position, len(mark)))

    def rotate(self) -> None:
        """Begin the file anew, and keep what was written as the one before it; where that is impossible, it is dropped."""
        before = self._end_position()
        if not self.look():
            return
        try:
            with contextlib.suppress(FileNotFoundError):  # somebody tidied up
                rename_private(self.path, self.previous)
            try:
                self._open(begins_at=before)
            except OSError:
                # No inode is left, perhaps.
                rename_private(self.previous, self.path)
                raise
            self._rotates = True
        except OSError as error:
            self._rotates = False
            size = self.size
            with contextlib.suppress(OSError):
                if self._descriptor is not None:
                    os.ftruncate(self._descriptor, 0)
                    self._set_begin(before)
                    self.losses.add(error, size)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self, begins_at: int | None = None) -> int:
        """Open the file, and return its size. Raises OSError, and keeps the descriptor that was."""
        begins_at = self._end_position() if begins_at is None else begins_at
        try:
            descriptor = open_private(self.path)
        except FileNotFoundError:
            make_own(self.path.parent)
            descriptor = open_private(self.path)
        self.close()
        self._descriptor = descriptor
        found = os.fstat(descriptor)
        self._identity = found.st_dev, found.st_ino
        self._torn = not self._ends_well()
        if found.st_size == 0 and begins_at:
            self._set_begin(begins_at)
        self._opened(descriptor)
        return found.st_size

    def _write(self, text: bytes, position: int) -> tuple[int, OSError | None]:
        """Write what comes after a position; return where the next write begins, and the fault if there was one. Keeps lines whole."""
        assert self._descriptor is not None  # noqa: S101  (it was opened)
        begun, rest = position, memoryview(text)[position:]
        try:
            while rest:
                done = os.write(self._descriptor, rest)
                position, rest = position + done, rest[done:]
        except OSError as error:
            whole = text.rfind(b"\n", begun, position) + 1 or begun
            if error.errno == errno.EFBIG and self.size:
                if whole > begun:
                    self._cut(position - whole)
                self.rotate()
                return (whole if whole > begun else position), (error if self.size else None)
            self._cut(position - whole)
            return whole, error
        return position, None

    def _cut(self, count: int) -> None:
        """Take back the beginning of a line whose end could not be written."""
        with contextlib.suppress(OSError):
            if count and self._descriptor is not None:
                os.ftruncate(self._descriptor, self.size - count)

    def _ends_well(self) -> bool:
        with contextlib.suppress(OSError):
            if self._descriptor is not None and (size := self.size):
                return os.pread(self._descriptor, 1, size - 1) == b"\n"
        return True

    def _set_begin(self, position: int) -> None:
        # Not every file system has such attributes: then a reader that has missed something cannot say how much.
        with contextlib.suppress(OSError):
            if self._descriptor is not None:
                os.setxattr(self._descriptor, _BEGINS_AT, str(position).encode())

    def _end_position(self) -> int:
        return 0 if self._descriptor is None else begins_at(self._descriptor) + self.size


def begins_at(descriptor: int) -> int:
    """How many bytes were written to the files before this one, as far as that is known."""
    with contextlib.suppress(OSError, ValueError):
        return int(os.getxattr(descriptor, _BEGINS_AT))
    return 0
