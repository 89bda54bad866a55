from dataclasses import replace
from pathlib import Path

import pytest

from suptree.actors.events.entry import Entry, encode
from suptree.actors.events.event_types import Kind, Started
from suptree.actors.record.journal import Journal

ENTRY = Entry(event=Started(Kind.AGENT, "a", 1), supervisor="root", at="2026-01-02T03:04:05.000Z", monotonic=1.0, source="root", serial=1)
PAGE = 4096


def a_long_journal(path: Path) -> bytes:
    journal = Journal(path)
    journal.begin_run("first")
    for serial in range(500):
        journal.append(replace(ENTRY, serial=serial), None)
    journal.close()
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
    journal.append(ENTRY, None)

    assert (0, [{"seq": 1, **encode(ENTRY)}]) == (before, list(journal.events()))
    assert damaged == (tmp_path / "journal.sqlite.damaged").read_bytes()


def test_a_journal_that_is_not_damaged_goes_on(tmp_path: Path) -> None:
    a_long_journal(tmp_path / "journal.sqlite")

    assert 500 == Journal(tmp_path / "journal.sqlite").begin_run("second")
    assert not (tmp_path / "journal.sqlite.damaged").exists()
