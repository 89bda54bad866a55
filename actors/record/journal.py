"""The append-only record of every event, and the last picture beside it; only the registry writes it.

One rule holds for every fault of its file: the registry goes on, and events that cannot be written wait. Events for which there is no room
any more are counted; the journal itself says how many are missing, as soon as it can be written again.
"""

import contextlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import structlog

from ..events.entry import Entry, encode, entry_now
from ..events.event_types import EventsLost
from ..kernel.linux import this_process
from ..kernel.lossy_file import Losses
from ..kernel.trusted_folder import make_own
from .journal_file import FAULTS, LOOK, Fault, JournalFile, NoJournal, Record, is_not_ours, is_passing, opening, read_rows, set_aside

log = structlog.get_logger()
_T = TypeVar("_T")

EVENTS_THAT_WAIT = 1000
"""So many wait for a file that cannot be written, before the oldest of them are lost."""
# So many are written in one transaction: a file that may not be big holds a part of them, and no actor waits long for it.
_AT_A_TIME = 50


def lives_before(path: Path, run_id: str, ids: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Id to (last incarnation, restarts), for the ids that have lived in this run.

    Read from the file, which is there when the registry is not: its restart may wait for the very supervisor that would ask it.
    """
    if not path.exists():
        return {}
    try:
        with opening(path) as db, contextlib.closing(db):
            if db.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone() is None:
                return {}
            rows, _ = read_rows(db)
    except FAULTS as error:
        log.warning("earlier_lives_unknown", path=str(path), error=str(error))
        return {}
    return {child: (rows[child]["incarnation"], rows[child]["restarts"]) for child in ids if child in rows}


class Journal:
    """SQLite in WAL mode: an event is in it before any client gets the event, and survives the process that wrote it. No fault is raised.

    `picture` gives every row, for a file that is begun anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.losses = Losses(str(path))
        self.picture: Callable[[], Iterable[Mapping[str, Any]]] = tuple
        self._run_id = ""
        self.before_run = 0
        """The number before the first event of this run."""
        self._heard: dict[str, int] = {}
        """The last number that each source of this run has reported."""
        self._last = 0
        self._shift = 0
        """Added to each number, where the file had more events than was known when the numbers were given."""
        self._begun = False
        self._written = 0
        """Of the events of this run, how many the file holds or held."""
        self._waiting: deque[Record] = deque()
        self._rows: dict[str, Mapping[str, Any]] = {}
        """Rows that have changed since they were written."""
        self._gone: set[str] = set()
        """Ids of which no row is to be kept."""
        self._fault: str | None = None
        self._file: JournalFile | None = None
        try:
            self._file = JournalFile(path, check=True)
        except FAULTS as error:
            self._failed(error)

    @property
    def waits(self) -> bool:
        """Whether something is to be written with the next `flush`."""
        return bool(self._waiting or self._rows or self._fault is not None)

    def state(self) -> dict[str, Any]:
        """For status: how many events are lost since this registry began, how many wait to be written, and why (null while none has to)."""
        return {"path": str(self.path), "lost": self.losses.total, "waiting": len(self._waiting), "why": self._fault}

    def begin_run(self, run_id: str) -> int:
        """Begin a run, with an empty picture, unless it has begun; return the number of the last event."""
        self._run_id = run_id
        if self._file is not None:
            try:
                self._last = self.before_run = self._file.last_seq()
                self._begin(self._file)
                self._heard = self._file.heard(self.before_run)
            except FAULTS as error:
                self._failed(error)
        return self._last

    def _begin(self, file: JournalFile) -> None:
        self.before_run = file.begin_run(self._run_id)
        self._begun = True

    def is_new(self, entry: Entry) -> bool:
        """Whether this event comes for the first time; when it is sent again, it is not."""
        if entry.serial <= self._heard.get(entry.source, -1):
            return False
        self._heard[entry.source] = entry.serial
        return True

    def append(self, seq: int, entry: Entry, row: Mapping[str, Any] | None) -> None:
        """Write an event with its number and the row that it changed, or let them wait."""
        self._waiting.append(_record(seq, entry))
        self._last = seq
        if row is not None:
            self._keep(row)
        if self._fault is None:
            self.flush()
        if len(self._waiting) > EVENTS_THAT_WAIT:
            self._waiting.popleft()
            self.losses.add(OSError(0, self._fault), 1)

    def put(self, row: Mapping[str, Any]) -> None:
        """Write a row that came without an event."""
        self._keep(row)
        if self._fault is None:
            self.flush()

    def drop(self, child: str) -> None:
        """Delete the row of a child, with the next event that is written."""
        self._rows.pop(child, None)
        self._gone.add(child)

    def _keep(self, row: Mapping[str, Any]) -> None:
        self._rows[row["id"]] = row
        self._gone.discard(row["id"])

    def flush(self) -> None:
        """Write what waits. After a fault, call this every second or so."""
        try:
            file = self._file = self._file or self._open_again()
            if not self._begun:
                self._begin(file)
            self._mention_losses(file)
            while self._waiting or self._rows:
                records = [self._shifted(record) for record in islice(self._waiting, _AT_A_TIME)]
                is_last = len(records) < _AT_A_TIME
                file.write(records, self._rows.values() if is_last else (), self._gone if is_last else ())
                for _ in records:
                    self._waiting.popleft()
                before, self._written = self._written, self._written + len(records)
                if is_last:
                    self._rows.clear()
                    self._gone.clear()
                if before // LOOK != self._written // LOOK:
                    file.trim()
        except FAULTS as error:
            self._failed(error)
            return
        if self._fault is not None:
            self._fault = None
            self.losses.over()

    def _open_again(self) -> JournalFile:
        """The file, made if it is gone, with everything of the present picture."""
        if not self.path.parent.exists():
            make_own(self.path.parent)
        file = JournalFile(self.path, check=False)
        try:
            self._shift = max(self._shift, file.last_seq() + 1 - (self._waiting[0].seq if self._waiting else self._last))
            self._begin(file)
            file.hear_all(self._heard)
        except BaseException:
            file.close()
            raise
        self._rows = {row["id"]: row for row in self.picture()}
        return file

    def _shifted(self, record: Record) -> Record:
        return record._replace(seq=record.seq + self._shift)

    def _mention_losses(self, file: JournalFile) -> None:
        """Events that are lost have left their numbers: the last of these accounts for all of them."""
        if self.losses.count:
            last = self._waiting[0].seq - 1 if self._waiting else self._last
            lost = EventsLost(count=self.losses.count, why=self.losses.why)
            entry = entry_now(lost, None, source=f"{self._run_id}:journal:{this_process()}", serial=last)
            file.write([self._shifted(_record(last, entry))], ())
            self.losses.marked()

    def _failed(self, error: Fault) -> None:
        reason = OSError(0, f"{error.strerror or error}" if isinstance(error, OSError) else str(error))
        if isinstance(error, NoJournal) or is_not_ours(error):
            # What the file held is out of our reach, too.
            self._close()
            self.losses.add(reason, self._written)
            self._written = 0
            try:
                # Where the file is gone the log beside it may still be there, and would be read into the new one.
                set_aside(self.path, str(error))
            except OSError as fault:
                log.warning("journal_not_set_aside", path=str(self.path), error=str(fault))
        else:
            self.losses.add(reason, 0)
            if not is_passing(error):
                self._close()
        self._fault = reason.strerror

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def rows(self) -> list[dict[str, Any]]:
        """The last picture."""
        return self._read(lambda file: file.rows()) if self._begun else []

    def events(self, after: int = 0, last: int | None = None) -> Iterator[dict[str, Any]]:
        """The events with a number above `after` that were written, oldest first; only the `last` so many when that is given."""
        return iter(self._read(lambda file: file.events(after, last)))

    def _read(self, what: Callable[[JournalFile], Iterable[_T]]) -> list[_T]:
        try:
            return [] if self._file is None else list(what(self._file))
        except FAULTS as error:
            self._failed(error)
            return []

    def close(self) -> None:
        """Write what waits, and close the file."""
        if self.waits:
            self.flush()
        self._close()


def _record(seq: int, entry: Entry) -> Record:
    return Record(seq, entry.source, entry.serial, json.dumps(encode(entry)))
