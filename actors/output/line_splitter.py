"""Cutting what a program prints into lines, in bounded memory: the beginning of a very long one waits in a file for its end."""

import tempfile
from collections.abc import Callable
from typing import BinaryIO

from .output_log import DISK_FULL, OutputLog

LINE_LIMIT = 16 * 1024 * 1024
_PIECE = 256 * 1024
# A secret that is shorter than this is never cut in two.
_OVERLAP = 8 * 1024
_TOO_LONG = b" [cut: the line is longer than 16 MiB]"
_DISK_FULL = b" [cut: the disk was full]"


class LineSplitter:
    """Cuts a byte stream into lines for an OutputLog.

    A line of more than 256 KiB is cleaned piece by piece and kept in a temporary file until it ends, because lines of the other stream may
    come meanwhile; one of more than 16 MiB is cut, and marked. `hear` gets the others as they came, several at a time.
    """

    def __init__(self, log: OutputLog, stream: str, hear: Callable[[bytes], None] | None = None) -> None:
        self._log = log
        self._hear = hear
        self._stream = stream
        self._begun = bytearray()
        self._long: BinaryIO | None = None
        self._begin_line()

    def feed(self, data: bytes) -> None:
        """Take some bytes."""
        ended, newline, rest = data.rpartition(b"\n")
        if newline and self._long is not None:
            first, newline, ended = ended.partition(b"\n")
            self._add(first)
            self._end_long()
        if newline:
            self._end(bytes(self._begun) + ended)
        self._add(rest)

    def close(self) -> None:
        """Keep what came after the last newline."""
        if self._long is not None:
            self._end_long()
        elif self._begun:
            self._end(bytes(self._begun))

    def _begin_line(self) -> None:
        self._begun.clear()
        self._room = LINE_LIMIT
        self._mark = b""

    def _end(self, lines: bytes) -> None:
        self._log.write(self._stream, lines)
        if self._hear is not None:
            self._hear(lines)
        self._begin_line()

    def _add(self, piece: bytes) -> None:
        kept = piece[: self._room]
        self._begun += kept
        self._room -= len(kept)
        if len(kept) < len(piece) and not self._mark:
            self._mark = _TOO_LONG
        if len(self._begun) > _PIECE:
            self._move(self._safe_end())

    def _safe_end(self) -> int:
        """Where a piece may end: where the parts are cleaned to what the whole is cleaned to, and no later than a secret may go on."""
        clean, text = self._log.clean, bytes(self._begun)
        last = len(text) - _OVERLAP
        for end in range(last, len(text) // 2, -_OVERLAP // 8):
            before, after = text[end - _OVERLAP : end], text[end : end + _OVERLAP]
            if clean(before + after) == clean(before) + clean(after):
                return end
        return last

    def _move(self, end: int) -> None:
        """Move the beginning of a long line out of memory."""
        if self._long is None:
            # Has no name, so nothing is left of it whatever happens; beside the log, because /tmp may be memory.
            self._long = tempfile.TemporaryFile(dir=self._log.folder, buffering=0)  # noqa: SIM115  (open until the line ends)
        assert self._long is not None  # noqa: S101
        try:
            self._long.write(self._log.clean(bytes(self._begun[:end])))
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            self._room, self._mark = 0, _DISK_FULL
        del self._begun[:end]

    def _end_long(self) -> None:
        assert self._long is not None  # noqa: S101
        self._move(len(self._begun))
        if self._mark:
            self._long.write(self._mark)
        self._log.write_long(self._stream, self._long)
        self._long.close()
        self._long = None
        self._begin_line()
