"""Cutting what a program prints into lines, in bounded memory: the beginning of a very long one waits in a file for its end."""

import threading
from collections.abc import Callable

from .long_line import LongLine
from .newest_part import newest
from .output_log import OutputLog

_PIECE = 256 * 1024
# A secret that is shorter than this is never cut in two.
_OVERLAP = 8 * 1024
# So much of what is shown of a line is kept for who hears it, when it goes on.
_HEARD = 8 * 1024


class LineSplitter:
    """Cuts a byte stream into lines for an OutputLog.

    A line of more than 256 KiB is cleaned piece by piece and kept in a temporary file until it ends, because lines of the other stream may
    come meanwhile; of one of more than 16 MiB the newest are kept, and marked. `hear` gets the others as they came, several at a time.
    """

    def __init__(self, log: OutputLog, stream: str, hear: Callable[[bytes], None] | None = None) -> None:
        self._log = log
        self._hear = hear
        self._stream = stream
        self._begun = bytearray()
        self._long: LongLine | None = None
        self.was_shown = False
        """Whether the beginning of the line that stands there was shown already."""
        self._unheard = b""
        self._number = 0
        # A native agent prints from any thread, and from signal handlers.
        self._lock = threading.RLock()

    def feed(self, data: bytes) -> None:
        """Take some bytes."""
        with self._lock:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        ended, newline, rest = data.rpartition(b"\n")
        if newline and self._long is not None:
            first, newline, ended = ended.partition(b"\n")
            self._add(first)
            self._end_long()
        if newline:
            self._end(bytes(self._begun) + ended)
        self._add(rest)

    @property
    def stands(self) -> tuple[int, int] | None:
        """What tells the line that has begun and not ended from every other; None if there is none.

        A very long one becomes another with each part that comes: it is no prompt, and is not shown before it pauses.
        """
        if self._long is not None:
            return self._number, self._long.total + len(self._begun)
        return (self._number, 0) if self._begun else None

    def show(self) -> None:
        """Keep what stands there as a line of its own, and what comes next as another; of what was written over, keep the newest."""
        with self._lock:
            self._show()

    def _show(self) -> None:
        text = bytes(self._begun)
        end = self._log.safe_end(text)
        if self._long is not None:
            self._move(end)
            self._write_long()
            self.was_shown = True
            return
        if not text[:end].strip(b"\r"):
            return
        self._log.write_cleaned(self._stream, newest(self._log.clean(text[:end])))
        self._keep_for_hearing(text[:end])
        del self._begun[:end]
        self.was_shown = True

    def close(self) -> None:
        """Keep what came after the last newline."""
        with self._lock:
            if self._long is not None:
                self._end_long()
            elif self._begun or self.was_shown:
                self._end(bytes(self._begun))

    def _end(self, lines: bytes) -> None:
        if self._hear is not None:
            self._hear(self._unheard + lines)
        if self.was_shown:
            # The carriage return, or the newline, only ended what is shown.
            first, newline, others = lines.partition(b"\n")
            first = first.strip(b"\r")
            lines = first + newline + others if first else others
            if not first and not newline:
                self._begin_line()
                return
        self._log.write(self._stream, lines)
        self._begin_line()

    def _begin_line(self) -> None:
        self._begun.clear()
        self.was_shown, self._unheard = False, b""
        self._number += 1

    def _keep_for_hearing(self, text: bytes) -> None:
        if self._hear is None:
            return
        ended, carriage_return, rest = (self._unheard + text).rpartition(b"\r")
        if carriage_return:
            self._hear(ended)
        self._unheard = rest[:_HEARD]

    def _add(self, piece: bytes) -> None:
        self._begun += piece
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
            self._long = LongLine(self._log.folder)
        self._long.add(self._log.clean(bytes(self._begun[:end])))
        del self._begun[:end]

    def _end_long(self) -> None:
        self._move(len(self._begun))
        self._write_long()
        self._begin_line()

    def _write_long(self) -> None:
        assert self._long is not None  # noqa: S101
        self._log.write_long(self._stream, self._long)
        self._long.close()
        self._long = None
