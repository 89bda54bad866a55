import json
import os
import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.events.entry import Entry, encode
from suptree.actors.events.event_types import EventsLost, Kind, Started
from suptree.actors.record import journal_file
from suptree.actors.record.journal import EVENTS_THAT_WAIT, Journal, lives_before

from ..full_disk import fill, needs_root, small_disk

ENTRY = Entry(
    event=Started(Kind.AGENT, "a", 1), supervisor="root", at="2026-01-02T03:04:05.000Z", monotonic=1.0, source="run:root", serial=1
)
PAGE = 4096


def row(incarnation: int) -> dict[str, Any]:
    return {"id": "a", "incarnation": incarnation, "restarts": 0}


class Writer:
    """Writes as the registry does: the picture is in its memory, and every event has the next number."""

    def __init__(self, path: Path, run_id: str = "run") -> None:
        self.journal = Journal(path)
        self.source = f"{run_id}:root"
        self.seq = self.journal.begin_run(run_id)
        self.row = row(0)
        self.journal.picture = lambda: [self.row]

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            self.seq += 1
            self.row = row(self.seq)
            self.journal.append(self.seq, replace(ENTRY, source=self.source, serial=self.seq), self.row)

    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.journal.events()]

    def losses(self) -> list[tuple[int, int]]:
        return [(event["seq"], event["count"]) for event in self.journal.events() if event["event"] == "tree_events_lost"]

    def written_rows(self) -> list[dict[str, Any]]:
        return self.journal.rows()


def a_long_journal(path: Path) -> bytes:
    writer = Writer(path, "first")
    writer.write(500)
    writer.journal.close()
    return path.read_bytes()


@pytest.mark.parametrize("where", ["its beginning", "its middle"])
def test_a_damaged_journal_is_kept_aside_and_a_new_one_begun(tmp_path: Path, where: str) -> None:
    path = tmp_path / "journal.sqlite"
    good = a_long_journal(path)
    at = 0 if where == "its beginning" else len(good) // 2 // PAGE * PAGE
    damaged = good[:at] + b"\xff" * PAGE + good[at + PAGE :]
    path.write_bytes(damaged)

    journal = Journal(path)
    before = journal.begin_run("second")
    journal.append(1, ENTRY, None)

    assert (0, [{"seq": 1, **encode(ENTRY)}]) == (before, list(journal.events()))
    assert damaged == (tmp_path / "journal.sqlite.damaged").read_bytes()


def test_a_journal_that_is_not_damaged_goes_on(tmp_path: Path) -> None:
    a_long_journal(tmp_path / "journal.sqlite")

    assert 500 == Journal(tmp_path / "journal.sqlite").begin_run("second")
    assert not (tmp_path / "journal.sqlite.damaged").exists()


def test_an_event_that_is_sent_twice_is_new_once_also_to_the_next_registry(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    writer = Writer(path)
    assert [True, False] == [writer.journal.is_new(ENTRY), writer.journal.is_new(ENTRY)]
    writer.write()
    writer.journal.close()

    assert [False, True] == [Writer(path).journal.is_new(entry) for entry in (ENTRY, replace(ENTRY, serial=2))]


def folder(path: Path) -> None:
    path.mkdir()


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE events (day TEXT)")


def link(path: Path) -> None:
    (path.parent / "elsewhere").write_text("kept")
    path.symlink_to(path.parent / "elsewhere")


HOSTILE: list[Callable[[Path], Any]] = [
    folder,
    foreign,
    link,
    os.mkfifo,
    lambda path: path.write_text("not a database at all\n" * 1000),
    lambda path: path.symlink_to("/nowhere/at/all"),
]


@pytest.mark.parametrize("make", HOSTILE, ids=["folder", "another program's", "link", "fifo", "text", "dangling link"])
def test_what_is_no_journal_is_set_aside_and_a_new_one_begun(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    path = tmp_path / "journal.sqlite"
    make(path)
    (tmp_path / "journal.sqlite.damaged").mkdir()  # from an earlier time

    assert {} == lives_before(path, "run", ["a"])
    writer = Writer(path)
    writer.write()

    assert ([1], None) == (writer.seqs(), writer.journal.state()["why"])
    assert os.path.lexists(tmp_path / "journal.sqlite.damaged.1")
    assert {"a": (1, 0)} == lives_before(path, "run", ["a"])


@pytest.mark.parametrize("bad", ["no json", "[1]", "", b"\xff\xfe", None])
def test_a_row_that_is_no_json_is_set_aside_and_the_rest_is_read(
    tmp_path: Path, bad: str | bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "journal.sqlite"
    Writer(path).write(3)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT OR REPLACE INTO events SELECT 2, 'x', 1, coalesce(CAST(? AS TEXT), '7')", (bad,))
        db.execute("INSERT INTO rows VALUES ('b', coalesce(CAST(? AS TEXT), '7'))", (bad,))
        assert {"a": (3, 0)} == lives_before(path, "run", ["a", "b"])

        again = Writer(path)
        assert ([1, 3], [row(3)]) == (again.seqs(), again.written_rows())

        assert ["events 2", "rows b"] == sorted(origin for (origin,) in db.execute("SELECT origin FROM unreadable"))
    assert 2 == capsys.readouterr().out.count(str(path))


def put_a_folder_there(path: Path) -> None:
    path.unlink()
    path.mkdir()


LOSE: list[Callable[[Path], Any]] = [
    lambda path: path.unlink(),
    lambda path: path.rename(path.with_name("moved")),
    put_a_folder_there,
    lambda path: path.parent.rename(path.parent.with_name("moved")),
    lambda path: path.with_name("copy").replace(path),
]


@pytest.mark.parametrize("lose", LOSE, ids=["deleted", "moved", "a folder", "its folder moved", "replaced"])
def test_a_journal_that_is_lost_while_it_is_written_is_made_again_and_says_what_is_missing(
    tmp_path: Path, lose: Callable[[Path], Any]
) -> None:
    path = tmp_path / "state" / "journal.sqlite"
    path.parent.mkdir()
    path.with_name("copy").write_text("what somebody put there")
    writer = Writer(path)
    writer.write(5)
    lose(path)

    writer.write(2)
    assert (2, True) == (writer.journal.state()["waiting"], writer.journal.waits)
    writer.journal.flush()

    assert ([5, 6, 7], [(5, 5)], [row(7)]) == (writer.seqs(), writer.losses(), writer.written_rows())
    assert {"path": str(path), "lost": 5, "waiting": 0, "why": None} == writer.journal.state()
    writer.journal.close()
    assert [False, True] == [Writer(path).journal.is_new(replace(ENTRY, serial=serial)) for serial in (7, 8)]


def test_a_journal_that_is_damaged_while_it_is_written_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    writer = Writer(path)
    writer.write(2000)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)

    writer.write()
    for _ in range(3):
        writer.journal.flush()

    assert (None, [row(2001)]) == (writer.journal.state()["why"], writer.written_rows())
    assert (2001, True) == (writer.seqs()[-1], (tmp_path / "journal.sqlite.damaged").exists())


def test_while_somebody_locks_the_journal_events_wait_and_nobody_else_does(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Writer(path, "before").write(3)
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        writer = Writer(path)
        writer.write(20)
        assert ({"a": 0}, 20) == ({"a": len(writer.written_rows())}, writer.journal.state()["waiting"])
        shell.execute("COMMIT")

    writer.journal.flush()

    assert list(range(1, 24)) == writer.seqs()
    assert {"path": str(path), "lost": 0, "waiting": 0, "why": None} == writer.journal.state()


@needs_root
def test_of_a_full_disk_events_wait_and_what_cannot_wait_is_counted_in_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path) as disk:
        writer = Writer(disk / "journal.sqlite")
        writer.write(5)
        ballast = fill(disk)

        writer.write(EVENTS_THAT_WAIT + 100)
        state = writer.journal.state()
        lost, waiting = state["lost"], state["waiting"]
        assert (1105, True) == (5 + lost + waiting + (len(writer.seqs()) - 5), "full" in state["why"])
        writer.journal.flush()
        ballast.unlink()
        writer.journal.flush()

        first_after = writer.seqs()[-EVENTS_THAT_WAIT]
        assert [(first_after - 1, lost)] == writer.losses()
        assert ([row(1105)], False) == (writer.written_rows(), writer.journal.waits)
        writer.journal.close()
    printed = capsys.readouterr().out
    assert (1, 1) == (printed.count("not_written"), printed.count("written_again"))


@needs_root
def test_a_run_that_begins_on_a_full_disk_is_written_down_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path) as disk:
        ballast = fill(disk)
        writer = Writer(disk / "journal.sqlite")
        writer.write(10)
        assert ([], 10) == (writer.seqs(), writer.journal.state()["waiting"])
        ballast.unlink()

        writer.journal.flush()

        assert list(range(1, 11)) == writer.seqs()
        writer.journal.close()


def test_a_journal_that_could_not_be_read_at_first_is_gone_on_with_behind_its_last_event(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    a_long_journal(path)
    wal = tmp_path / "journal.sqlite-wal"
    wal.mkdir()
    writer = Writer(path)
    writer.write(3)
    assert 3 == writer.journal.state()["waiting"]
    wal.rmdir()

    writer.journal.flush()
    writer.write()

    assert [501, 502, 503, 504] == [event["seq"] for event in writer.journal.events(after=writer.journal.before_run)]


def test_where_no_file_may_grow_beyond_a_size_the_journal_stays_below_it(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        writer = Writer(tmp_path / "journal.sqlite")
        writer.write(1000)
        state = writer.journal.state()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert {"path": str(tmp_path / "journal.sqlite"), "lost": 0, "waiting": 0, "why": None} == state
    assert 1000 == writer.seqs()[-1]


def test_a_run_that_never_ends_keeps_its_last_events_and_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "EVENTS_KEPT", 300)
    writer = Writer(tmp_path / "journal.sqlite")
    quiet = replace(ENTRY, source="quiet", serial=1)
    assert writer.journal.is_new(quiet)
    writer.journal.append(0, quiet, None)
    writer.write(2000)

    kept = writer.seqs()
    assert (True, list(range(kept[0], 2001))) == (300 <= len(kept) <= 400, kept)
    assert [row(2000)] == writer.written_rows()
    writer.journal.close()
    again = Journal(tmp_path / "journal.sqlite")
    assert 2000 == again.begin_run("run")
    assert [False, False, True] == [again.is_new(each) for each in (quiet, replace(ENTRY, serial=2000), replace(ENTRY, serial=2001))]


def test_the_size_of_a_journal_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "BYTES_KEPT", 200_000)
    writer = Writer(tmp_path / "journal.sqlite")
    writer.write(2000)

    assert 2000 == writer.seqs()[-1]
    assert 500_000 > (tmp_path / "journal.sqlite").stat().st_size
    assert 2_000_000 > sum(file.stat().st_size for file in tmp_path.iterdir())


def test_a_reader_that_never_ends_does_not_have_the_log_of_the_journal_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "BYTES_KEPT", 1_000_000)
    path = tmp_path / "journal.sqlite"
    writer = Writer(path)
    writer.write()
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM events").fetchone()
        writer.write(500)
        written = writer.seqs()[-1]
        writer.write(100)
        assert (True, written) == (written < 400, writer.seqs()[-1])
        assert 5_000_000 > sum(file.stat().st_size for file in tmp_path.iterdir())
        assert "reads the journal without an end" in writer.journal.state()["why"]
    writer.journal.flush()

    assert (None, 601) == (writer.journal.state()["why"], writer.seqs()[-1])


def test_an_event_that_reports_others_is_in_words() -> None:
    entry = replace(ENTRY, event=EventsLost(count=3, why="disk full"), supervisor=None)

    assert {"event": "tree_events_lost", "count": 3, "why": "disk full"}.items() <= json.loads(json.dumps(encode(entry))).items()
