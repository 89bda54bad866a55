"""The append-only record of every event, and the last picture beside it; only the registry writes it."""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from ..events.entry import Entry, encode

log = structlog.get_logger()

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

# Of earlier runs; those of the present run are all kept.
_EVENTS_KEPT = 100_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, serial INTEGER NOT NULL, event TEXT NOT NULL, UNIQUE (source, serial)
);
CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, row TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (first_seq INTEGER NOT NULL, run_id TEXT PRIMARY KEY);
"""


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        _check(db)
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection) -> None:
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        damaged = sqlite3.DatabaseError(found)
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged


def _move_aside(path: Path) -> None:
    """Keep a damaged journal as `NAME.damaged`, and what SQLite has beside it too: a log of the old file would be read into a new one."""
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).replace(path.with_name(f"{path.name}.damaged{suffix}"))


def lives_before(path: Path, run_id: str, ids: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Id to (last incarnation, restarts), for the ids that have lived in this run.

    Read from the file, which is there when the registry is not: its restart may wait for the very supervisor that would ask it.
    """
    if not path.exists():
        return {}
    with contextlib.closing(sqlite3.connect(path)) as db:
        try:
            if db.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone() is None:
                return {}
            rows = dict(db.execute("SELECT id, row FROM rows"))
        except sqlite3.DatabaseError as error:
            log.warning("earlier_lives_unknown", path=str(path), error=str(error))
            return {}
    found = {child: json.loads(rows[child]) for child in ids if child in rows}
    return {child: (row["incarnation"], row["restarts"]) for child, row in found.items()}


class Journal:
    """SQLite in WAL mode: an event is in it before anybody hears of it, and survives the process that wrote it."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = _open(path)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _DAMAGED:
                raise
            log.warning("journal_moved_aside", path=str(path), error=str(error))
            _move_aside(path)
            self._db = _open(path)

    def begin_run(self, run_id: str) -> int:
        """Begin a run, with an empty picture, unless it has begun; return the number before its first event."""
        known = self._db.execute("SELECT first_seq FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if known is not None:
            return int(known[0])
        last = int(self._db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute("DELETE FROM rows")
            self._db.execute("DELETE FROM events WHERE seq <= ?", (last - _EVENTS_KEPT,))
            self._db.execute("INSERT INTO runs VALUES (?, ?)", (last, run_id))
        return last

    def append(self, entry: Entry, row: Mapping[str, Any] | None) -> int | None:
        """Write an event and the row that it changed; return its number, or None when it was there already."""
        with self._db:
            self._db.execute("BEGIN")
            cursor = self._db.execute(
                "INSERT OR IGNORE INTO events (source, serial, event) VALUES (?, ?, ?)",
                (entry.source, entry.serial, json.dumps(encode(entry))),
            )
            if cursor.rowcount == 0:
                return None
            if row is not None:
                self._put(row)
            return cursor.lastrowid

    def knows(self, entry: Entry) -> bool:
        """Whether this event was written before."""
        found = self._db.execute("SELECT 1 FROM events WHERE source = ? AND serial = ?", (entry.source, entry.serial))
        return found.fetchone() is not None

    def put(self, row: Mapping[str, Any]) -> None:
        """Write a row that came without an event."""
        self._put(row)

    def rows(self) -> list[dict[str, Any]]:
        """The last picture."""
        return [json.loads(text) for (text,) in self._db.execute("SELECT row FROM rows ORDER BY rowid")]

    def events(self, after: int = 0, last: int | None = None) -> Iterator[dict[str, Any]]:
        """Every event with a number above `after`, oldest first; only the `last` so many when that is given."""
        query = "SELECT seq, event FROM events WHERE seq > ? ORDER BY seq"
        if last is not None:
            query = f"SELECT * FROM (SELECT seq, event FROM events WHERE seq > ? ORDER BY seq DESC LIMIT {int(last)}) ORDER BY seq"  # noqa: S608
        for seq, text in self._db.execute(query, (after,)):
            yield {"seq": seq, **json.loads(text)}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _put(self, row: Mapping[str, Any]) -> None:
        self._db.execute("INSERT INTO rows VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET row = excluded.row", (row["id"], json.dumps(row)))
