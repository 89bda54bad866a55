"""What an agent said last, in the order of time, whichever stream it used."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from .printable import without_colours

LINES = 20
"""So many lines of each source are kept."""

SOURCES = ("out", "err", "hook", "suptree")
"""The program's stdout and stderr, its hooks, and suptree itself: what the last two say is in the log as error output, and marked."""

# What was said earlier has nothing to do with the end.
_SAID_AT_THE_END = timedelta(seconds=10)
# At its end a program flushes what it had kept of its stdout: that may come after the error that it had said before.
_FLUSHED_WITHIN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Said:
    """One line: `at` is the time of day (UTC, ISO 8601), `source` one of SOURCES."""

    at: str
    source: str
    text: str

    @property
    def marked(self) -> str:
        """The line as the log has it: marked where it is not the program's own."""
        return f"{mark(self.source)}{self.text}"


def mark(source: str) -> str:
    """What stands before a line that is not the program's own."""
    return f"[{source}] " if source in ("hook", "suptree") else ""


def in_order(tails: Mapping[str, Iterable[Said]]) -> tuple[Said, ...]:
    """What every source said, in the order of time."""
    return tuple(sorted((said for source in SOURCES for said in tails.get(source, ())), key=lambda said: said.at))


def new_tails() -> dict[str, deque[Said]]:
    """Keeps the last lines of each source."""
    return {source: deque(maxlen=LINES) for source in SOURCES}


def last_error(tails: Mapping[str, Iterable[Said]], ended_at: datetime) -> str | None:
    """What a program that failed said last, on stderr or else on stdout, without colours; None when that was long before its end."""
    err, out = (_newest(tails[stream], ended_at - _SAID_AT_THE_END) for stream in ("err", "out"))
    newest = err or out
    if err is not None and out is not None and _moment(out) - _moment(err) > _FLUSHED_WITHIN:
        newest = out
    return None if newest is None else without_colours(newest.text)


def _newest(lines: Iterable[Said], since: datetime) -> Said | None:
    newest = next((said for said in reversed(list(lines)) if without_colours(said.text).strip()), None)
    return newest if newest is not None and _moment(newest) >= since else None


def _moment(said: Said) -> datetime:
    return datetime.fromisoformat(said.at)
