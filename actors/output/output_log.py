"""What an agent prints, kept in a file of its own: one line each, with time, incarnation and stream."""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ..kernel.lossy_file import LossyFile
from .last_words import LINES, Said, mark, new_tails
from .long_line import LongLine
from .newest_part import WIDTH, end_of

_ROTATE_AT = 16 * 1024 * 1024

ENTRY = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]+Z) #(\d{1,18}) (out|err) (.*)", re.DOTALL | re.ASCII)
"""A line that is kept: its time, incarnation, stream and text. What C code wrote into the log may imitate one."""


def log_path(state_dir: str, agent_id: str) -> Path:
    """Where an agent's output is kept."""
    return Path(state_dir) / "logs" / f"{agent_id}.log"


def rotated_path(path: Path) -> Path:
    """Where the file is kept that was full before this one: beside it, as `ID.log.1`."""
    return path.with_name(path.name + ".1")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_it_is(text: bytes) -> bytes:
    return text


class OutputLog:
    """Writes lines to a file that rotates by size, and remembers the last few of each source.

    All that is kept has passed `clean`, which gets whole lines, several at a time with newlines between them. It may change the text of
    the lines, but not their number. A very long line comes in pieces; see LineSplitter. `safe_end` says where the beginning of a line may
    be cut off, so that cleaning both parts gives what cleaning the whole line gives.

    No fault of the file is raised: what could not be written is counted, and the log says where it is missing.
    """

    def __init__(self, path: Path, incarnation: int) -> None:
        self._incarnation = incarnation
        self._redirected: list[int] = []
        self.clean: Callable[[bytes], bytes] = _as_it_is
        self.safe_end: Callable[[bytes], int] = len
        self.tails = new_tails()
        self._file = LossyFile(path, self._loss, self._lead_there)

    @property
    def folder(self) -> Path:
        """Where its files stand."""
        return self._file.path.parent

    @property
    def size(self) -> int:
        """How many bytes the file holds that is written now."""
        return self._file.size

    @property
    def lost(self) -> int:
        """How many bytes could not be written so far."""
        return self._file.losses.total

    def write(self, source: str, lines: bytes) -> None:
        """Keep one line of one of the SOURCES, or several with newlines between them."""
        self.write_cleaned(source, self.clean(lines))

    def write_cleaned(self, source: str, lines: bytes) -> None:
        """Keep lines that have passed `clean` already."""
        at = _now()
        prefix = self._prefix(at, source)
        # What came in one read has one time: so the work for each line is done in C, and the file is written once.
        entries = b"".join((prefix, lines.replace(b"\n", b"\n" + prefix), b"\n"))
        self._make_room(len(entries))
        self._file.append(entries)
        for line in lines.rsplit(b"\n", LINES)[-LINES:]:
            self._remember(at, source, line)

    def write_long(self, stream: str, line: LongLine) -> None:
        """Keep one line that has passed `clean` already."""
        self._make_room(line.size)
        at = _now()
        piece, end = self._prefix(at, stream), b""
        for following in line.pieces():
            self._file.append_part(piece)
            piece = following
            end = (end + piece)[-WIDTH:]
        self._file.append(piece + b"\n")
        self._remember(at, stream, end)

    def redirect(self, descriptor: int) -> None:
        """Let a descriptor lead to the file as well, also after it has rotated; nowhere while there is none."""
        self._redirected.append(descriptor)
        self._lead(descriptor)

    def make_again(self) -> None:
        """Make the file again if somebody took it away: for what is written to it past us."""
        self._file.look()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _prefix(self, at: str, source: str) -> bytes:
        return f"{at} #{self._incarnation} {'out' if source == 'out' else 'err'} {mark(source)}".encode()

    def _loss(self, count: int, why: str) -> bytes:
        return self._prefix(_now(), "suptree") + f"{count} bytes of output before this are missing: {why}\n".encode()

    def _remember(self, at: str, source: str, line: bytes) -> None:
        self.tails[source].append(Said(at, source, end_of(line)))

    def _make_room(self, size: int) -> None:
        used = self._file.look()
        if used and used + size > _ROTATE_AT:
            self._file.rotate()

    def _lead_there(self, _descriptor: int) -> None:
        for descriptor in self._redirected:
            self._lead(descriptor)

    def _lead(self, descriptor: int) -> None:
        if self._file.descriptor is not None:
            os.dup2(self._file.descriptor, descriptor)
            return
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
