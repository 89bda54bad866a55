"""What an agent prints, kept in a file of its own: one line each, with time, incarnation and stream."""

import contextlib
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

LINE_LIMIT = 16 * 1024 * 1024
_ROTATE_AT = 16 * 1024 * 1024
_TAIL_LINES = 20
_TAIL_WIDTH = 500
_CUT = b" [cut: the line is longer than 16 MiB]"


def log_path(state_dir: str, agent_id: str) -> Path:
    """Where an agent's output is kept."""
    return Path(state_dir) / "logs" / f"{agent_id}.log"


def rotated_path(path: Path) -> Path:
    """Where the file is kept that was full before this one: beside it, as `ID.log.1`."""
    return path.with_name(path.name + ".1")


class OutputLog:
    """Writes lines to a file that rotates by size, and remembers the last few of each stream; `redact` takes the secrets out of each."""

    def __init__(self, path: Path, incarnation: int, redact: Callable[[bytes], bytes] = bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._incarnation = incarnation
        self._redact = redact
        self._file = path.open("ab")
        self._size = self._file.tell()
        self.tails: dict[str, deque[str]] = {"out": deque(maxlen=_TAIL_LINES), "err": deque(maxlen=_TAIL_LINES)}

    @property
    def last_error(self) -> str | None:
        """The last line of the error output that is not empty."""
        return next((line for line in reversed(self.tails["err"]) if line.strip()), None)

    def write(self, stream: str, line: bytes) -> None:
        """Keep one line of `out` or `err`."""
        line = self._redact(line)
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry = f"{stamp} #{self._incarnation} {stream} ".encode() + line + b"\n"
        if self._size + len(entry) > _ROTATE_AT and self._size:
            self._rotate()
        self._file.write(entry)
        self._file.flush()
        self._size += len(entry)
        self.tails[stream].append(line[:_TAIL_WIDTH].decode("utf-8", "replace"))

    def fileno(self) -> int:
        """The descriptor of the file as it is now."""
        return self._file.fileno()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        with contextlib.suppress(FileNotFoundError):  # somebody tidied up
            self._path.replace(rotated_path(self._path))
        self._file = self._path.open("ab")
        self._size = 0


class LineSplitter:
    """Cuts a byte stream into lines for an OutputLog; memory is bounded by the limit on a line."""

    def __init__(self, log: OutputLog, stream: str) -> None:
        self._log = log
        self._stream = stream
        self._pieces: list[bytes] = []
        self._size = 0
        self._skipping = False

    def feed(self, data: bytes) -> None:
        """Take some bytes."""
        *ended, rest = data.split(b"\n")
        for line in ended:
            self._add(line)
            self._end_line()
        self._add(rest)

    def close(self) -> None:
        """Keep what came after the last newline."""
        if self._pieces:
            self._end_line()

    def _add(self, piece: bytes) -> None:
        if not piece or self._skipping:
            return
        self._pieces.append(piece[: LINE_LIMIT - self._size])
        self._size += len(piece)
        if self._size > LINE_LIMIT:
            self._pieces.append(_CUT)
            self._skipping = True

    def _end_line(self) -> None:
        self._log.write(self._stream, b"".join(self._pieces))
        self._pieces, self._size, self._skipping = [], 0, False
