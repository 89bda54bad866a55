"""The SQLite file of a journal. Every fault of it is raised, as one of `FAULTS`; `Journal` outlives them."""

import contextlib
import errno
import json
import os
import resource
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from ..events.event_types import PASSING
from ..events.json_values import read_json
from ..events.picture import is_row
from ..kernel.private_files import folder_of, rename_private
from ..kernel.trusted_folder import user_name

log = structlog.get_logger()

EVENTS_KEPT = 100_000
BYTES_KEPT = 64 * 1024 * 1024
"""Of all that the file holds. Beyond either, the oldest events go, STEP of them after every LOOK that are written."""
PASSING_KEPT = 10_000
"""Events that may come again and again (`PASSING`) are kept while they are among so many last ones."""
LOOK, STEP = 100, 200
_SOURCES_KEPT = 10_000
_MOST_EVENTS = 2**53

Fault = sqlite3.Error | OSError | UnicodeError
FAULTS = (sqlite3.Error, OSError, UnicodeError)
"""What a file may lead to: SQLite's words about a damaged one quote the file, and Python reads these words as UTF-8."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# What a sound file of another program says to our statements.
_NOT_OURS = (*_DAMAGED, sqlite3.SQLITE_ERROR)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, serial INTEGER NOT NULL, event TEXT NOT NULL, UNIQUE (source, serial)
);
CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, row TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (first_seq INTEGER NOT NULL, run_id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS heard (source TEXT PRIMARY KEY, serial INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS unreadable (origin TEXT NOT NULL, text TEXT);
"""
# As `encode` begins them: a column of its own would be one that earlier journals have not.
_PASSING_BEGIN = tuple(json.dumps({"event": name})[:-1] for name in sorted(PASSING))
_IS_PASSING = "(" + " OR ".join(f"substr(event, 1, {len(begin)}) = ?" for begin in _PASSING_BEGIN) + ")"
_COLUMNS = (
    "SELECT seq, source, serial, event FROM events LIMIT 0",
    "SELECT id, row FROM rows LIMIT 0",
    "SELECT first_seq, run_id FROM runs LIMIT 0",
    "SELECT source, serial FROM heard LIMIT 0",
    "SELECT origin, text FROM unreadable LIMIT 0",
)


class Record(NamedTuple):
    """An event as it is written: its number, who reported it, its number there, and its JSON object."""

    seq: int
    source: str
    serial: int
    text: str


class NoJournal(OSError):
    """What stands there now is not the file that was opened."""


def is_not_ours(error: Fault) -> bool:
    """Whether an error says that the file holds no journal: it is damaged, or another program's."""
    return isinstance(error, UnicodeError) or (
        isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_OURS
    )


def is_passing(error: Fault) -> bool:
    """Whether the open file serves as well as before when the cause is over: somebody has locked it, or the disk is full."""
    passing = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)
    return error.errno == errno.EBUSY if isinstance(error, OSError) else getattr(error, "sqlite_errorcode", 0) & 0xFF in passing


@contextlib.contextmanager
def opening(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that waits for nobody. Within this block its first statement is to be executed, which opens the file.

    Raises sqlite3.Error, and OSError for what is no regular file of ours (a FIFO would hold us up), or in a folder that is not ours alone.
    """
    with folder_of(path) as folder:
        for name in _names(path):
            _check_owner(path.with_name(name), folder)
        _check_file(path, folder)
        db = sqlite3.connect(path, timeout=0.0, isolation_level=None)
        # A byte that is no UTF-8 is one more text that cannot be read, not an error of the database.
        db.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            yield db
            _check_way(path, folder)
        except BaseException:
            db.close()
            raise


def _check_way(path: Path, folder: int) -> None:
    """SQLite opens by the path: the folder that was looked at must be the one that this leads to still."""
    if not os.path.samestat(os.lstat(path.name, dir_fd=folder), path.lstat()):
        raise NoJournal(errno.ESTALE, "its folder was replaced", str(path))


def _names(path: Path) -> list[str]:
    """Of the file, and of what SQLite has beside it."""
    return [path.name + suffix for suffix in ("", "-wal", "-shm")]


def _check_file(path: Path, folder: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path.name, dir_fd=folder).st_mode):
            raise NoJournal(errno.EEXIST, "it is no regular file", str(path))


def _check_owner(path: Path, folder: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        owner = os.lstat(path.name, dir_fd=folder).st_uid
        if owner not in (0, os.geteuid()):
            raise NoJournal(errno.EPERM, f"it belongs to {user_name(owner)}", str(path))


def parsed(text: Any) -> dict[str, Any] | None:
    """The JSON object that a text is; None when it is none."""
    try:
        said = read_json(text)
    except (ValueError, TypeError):
        return None
    return said if isinstance(said, dict) else None


def read_rows(db: sqlite3.Connection) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The rows of the last picture by id, in their order, and the ids of those that cannot be read."""
    found = {child: parsed(text) for child, text in db.execute("SELECT id, row FROM rows ORDER BY rowid")}
    good = {child: row for child, row in found.items() if row is not None and is_row(row) and row["id"] == child}
    return good, [child for child in found if child not in good]


def set_aside(path: Path, why: str) -> None:
    """Keep what stands there as `NAME.damaged`, and what SQLite has beside it too: a log of the old file would be read into a new one."""
    target = _aside(path)
    for name, kept_as in zip(_names(path), _names(target), strict=True):
        with contextlib.suppress(FileNotFoundError):
            rename_private(path.with_name(name), path.with_name(kept_as))
            log.warning("journal_set_aside", path=str(path.with_name(name)), kept_as=str(path.with_name(kept_as)), error=why)


def _aside(path: Path) -> Path:
    """A file that was set aside before makes room; what is no file stays."""
    plain = path.with_name(f"{path.name}.damaged")
    for target in (plain, *(plain.with_name(f"{plain.name}.{number}") for number in range(1, 100))):
        if not os.path.lexists(target) or (target.is_file() and not path.is_dir()):
            return target
    return plain


def _number(found: object) -> int:
    """A number of an event, as we write them. Raises sqlite3.DatabaseError for what somebody else has put there."""
    if type(found) is not int or not 0 <= found < _MOST_EVENTS:
        raise _damaged(f"{found!r:.50} is no number of an event")
    return found


def _damaged(why: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(why)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


class JournalFile:
    """A journal that is open. What is no journal is set aside when it is opened, with a warning, and a new one begun."""

    def __init__(self, path: Path, *, check: bool) -> None:
        self.path = path
        self._wal = path.with_name(f"{path.name}-wal")
        # Both the file and the log beside it stay below what the kernel lets a file of ours be.
        allowed = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        self._bytes_kept = BYTES_KEPT if allowed == resource.RLIM_INFINITY else min(BYTES_KEPT, allowed // 2)
        try:
            self._db = self._open(check)
        except NoJournal as error:
            set_aside(path, str(error))
            self._db = self._open(check)
        except (sqlite3.Error, UnicodeError) as error:
            if not is_not_ours(error):
                raise
            set_aside(path, str(error))
            self._db = self._open(check)
        self._identity = self._found()
        self._passing_gone: int | None = None
        """The number up to which no event is left that may go early; None as long as nobody has looked."""

    def _open(self, check: bool) -> sqlite3.Connection:
        with opening(self.path) as db:
            (page,) = db.execute("PRAGMA page_size").fetchone()
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(f"PRAGMA wal_autocheckpoint = {max(1, min(1000, self._bytes_kept // 4 // page))}")
            db.execute(f"PRAGMA journal_size_limit = {self._bytes_kept // 2}")
            if check:
                _check(db)
            db.executescript(_SCHEMA)
            for columns in _COLUMNS:
                db.execute(columns)
            (self._count,) = db.execute("SELECT count(*) FROM events").fetchone()
        return db

    def begin_run(self, run_id: str) -> int:
        """Begin a run, with an empty picture, unless it has begun; return the number before its first event."""
        known = self._db.execute("SELECT first_seq FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if known is not None:
            return _number(known[0])
        before = self.last_seq()
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM rows")
            self._db.execute("DELETE FROM heard")
            self._db.execute("INSERT INTO runs VALUES (?, ?)", (before, run_id))
        return before

    def last_seq(self) -> int:
        """The number of the last event; 0 when there is none."""
        return _number(self._db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])

    def write(self, records: Iterable[Record], rows: Iterable[Mapping[str, Any]], gone: Iterable[str] = ()) -> None:
        """Write some events and rows, and delete the rows of some ids, all of that or nothing."""
        if self._found() != self._identity:
            raise NoJournal(errno.ESTALE, "the journal was deleted, moved or replaced", str(self.path))
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for record in records:
                put = "INSERT OR IGNORE INTO events (seq, source, serial, event) VALUES (?, ?, ?, ?)"
                self._count += self._db.execute(put, record).rowcount
            self._db.executemany("DELETE FROM rows WHERE id = ?", ((child,) for child in gone))
            for row in rows:
                put = "INSERT INTO rows VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET row = excluded.row"
                self._db.execute(put, (row["id"], json.dumps(row)))

    def trim(self) -> None:
        """Delete the oldest events, one step, if there are too many or the file is too big."""
        self._bound_log()
        self._trim_passing()
        too_many = STEP if self._bytes() > self._bytes_kept else min(STEP, self._count - EVENTS_KEPT)
        if (count := min(too_many, self._count - LOOK)) > 0:
            end = self._db.execute("SELECT seq FROM events ORDER BY seq LIMIT 1 OFFSET ?", (count,)).fetchone()
            if end is not None:
                self._delete("seq < ?", end)
        (sources,) = self._db.execute("SELECT count(*) FROM heard").fetchone()
        if sources > _SOURCES_KEPT:
            oldest = "DELETE FROM heard WHERE source IN (SELECT source FROM heard ORDER BY rowid LIMIT ?)"
            self._db.execute(oldest, (sources - _SOURCES_KEPT,))

    def _trim_passing(self) -> None:
        end = self.last_seq() - PASSING_KEPT
        begin = end - STEP if self._passing_gone is None else self._passing_gone
        if end > max(begin, 0):
            self._delete(f"seq > ? AND seq <= ? AND {_IS_PASSING}", (begin, end, *_PASSING_BEGIN))
            self._passing_gone = end

    def _delete(self, which: str, values: tuple[Any, ...]) -> None:
        """Delete some events; the last number of each source stays known."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            last = f"SELECT source, max(serial) AS serial FROM events WHERE {which} GROUP BY source"  # noqa: S608
            known = f"SELECT new.source, max(new.serial, coalesce(heard.serial, 0)) FROM ({last}) AS new LEFT JOIN heard USING (source)"  # noqa: S608
            self._db.execute("INSERT OR REPLACE INTO heard " + known, values)
            self._count -= self._db.execute(f"DELETE FROM events WHERE {which}", values).rowcount  # noqa: S608

    def _bound_log(self) -> None:
        """A reader that never ends keeps the log beside the file from being emptied: raises OSError when that is too big."""
        with contextlib.suppress(FileNotFoundError):
            if self._wal.stat().st_size <= self._bytes_kept:
                return
            (busy, *_) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise OSError(errno.EBUSY, f"somebody reads the journal without an end, so {self._wal.name} only grows", str(self._wal))

    def _bytes(self) -> int:
        pages, free, size = (self._db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size"))
        return int((pages - free) * size)

    def hear_all(self, heard: Mapping[str, int]) -> None:
        """Write down the last number of every source: a file that was begun anew knows of none."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO heard VALUES (?, ?)", heard.items())

    def heard(self, before: int) -> dict[str, int]:
        """The last number that each source of this run has reported; `before` is the number before its first event."""
        newest = "SELECT source, max(serial) FROM events WHERE seq > ? GROUP BY source"
        found: dict[str, int] = {}
        for source, serial in (*self._db.execute("SELECT source, serial FROM heard"), *self._db.execute(newest, (before,))):
            if type(serial) is int:
                found[source] = max(serial, found.get(source, serial))
        return found

    def rows(self) -> list[dict[str, Any]]:
        """The last picture; a row that cannot be read is set aside."""
        rows, bad = read_rows(self._db)
        for child in bad:
            self._set_aside("rows", "id", "row", child)
        return list(rows.values())

    def events(self, after: int = 0, last: int | None = None) -> Iterator[dict[str, Any]]:
        """Every event with a number above `after`, oldest first; only the `last` so many if given. What cannot be read is set aside."""
        query = "SELECT seq, event FROM events WHERE seq > ? ORDER BY seq"
        if last is not None:
            query = f"SELECT * FROM (SELECT seq, event FROM events WHERE seq > ? ORDER BY seq DESC LIMIT {int(last)}) ORDER BY seq"  # noqa: S608
        bad = []
        for seq, text in self._db.execute(query, (after,)):
            said = parsed(text)
            if said is None:
                bad.append(seq)
            else:
                yield {"seq": seq, **said}
        for seq in bad:
            self._set_aside("events", "seq", "event", seq)

    def _set_aside(self, table: str, key: str, column: str, which: int | str) -> None:
        log.warning("row_set_aside", path=str(self.path), table=table, key=which, kept_in="unreadable", error="no JSON object of ours")
        with contextlib.suppress(sqlite3.Error), self._db:  # it is passed over the next time, too
            self._db.execute("BEGIN IMMEDIATE")
            copy = f"INSERT INTO unreadable SELECT ?, CAST({column} AS TEXT) FROM {table} WHERE {key} = ?"  # noqa: S608
            self._db.execute(copy, (f"{table} {which}", which))
            self._db.execute(f"DELETE FROM {table} WHERE {key} = ?", (which,))  # noqa: S608

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def _found(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            there = self.path.lstat()
            return there.st_dev, there.st_ino
        return None


def _check(db: sqlite3.Connection) -> None:
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise _damaged(found)
