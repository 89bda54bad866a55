"""The beginning of a very long line, until it ends: its newest 16 MiB, in a file without a name, or what memory may hold of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..kernel.private_files import open_nameless

LINE_LIMIT = 16 * 1024 * 1024
_COPY_CHUNK = 256 * 1024
_TOO_LONG = b"[cut: the line is longer than 16 MiB] "


class LongLine:
    """A ring of `LINE_LIMIT` bytes in a file; where there can be none, only the piece that came last is kept."""

    def __init__(self, folder: Path) -> None:
        self.total = 0
        self._last = b""
        self._fault: OSError | None = None
        self._file: BinaryIO | None = None
        try:
            # Has no name, so nothing is left of it whatever happens; beside the log, because /tmp may be memory.
            self._file = open_nameless(folder)
        except OSError as error:
            self._fault = error

    def add(self, piece: bytes) -> None:
        """Take what comes next, at most `LINE_LIMIT` bytes."""
        rest = memoryview(piece)
        try:
            while rest and self._file is not None:
                place = self.total % LINE_LIMIT
                self._file.seek(place)
                done = self._file.write(rest[: LINE_LIMIT - place])
                self.total += done
                rest = rest[done:]
        except OSError as error:
            self._fault = error
            self.close()
        if self._file is None:
            self._last = piece

    @property
    def size(self) -> int:
        """How many bytes `pieces` gives about."""
        return len(self._last) if self._file is None else min(self.total, LINE_LIMIT)

    def pieces(self) -> Iterator[bytes]:
        """What is kept, oldest first; after a mark where that is not all."""
        if self._fault is not None:
            yield f"[cut: the line could not be kept: {self._fault.strerror}] ".encode()
        elif self.total > LINE_LIMIT:
            yield _TOO_LONG
        if self._file is None:
            yield self._last
            return
        place = self.total % LINE_LIMIT if self.total > LINE_LIMIT else 0
        for start, end in ((place, min(self.total, LINE_LIMIT)), (0, place)):
            self._file.seek(start)
            left = end - start
            while left and (piece := self._file.read(min(_COPY_CHUNK, left))):
                yield piece
                left -= len(piece)

    def close(self) -> None:
        """Nothing of it is needed any more."""
        if self._file is not None:
            self._file.close()
            self._file = None
