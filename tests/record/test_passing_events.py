"""What strangers and programs can cause again and again pushes nothing else out of the record."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.events.entry import Entry
from suptree.actors.events.event_types import PASSING, Kind, NotificationsRefused, Started, StatusText, TreeRefused
from suptree.actors.events.report_interval import ReportInterval
from suptree.actors.record import journal_file
from suptree.actors.record.journal import Journal

HOUR, DAY = 3600.0, 24 * 3600.0
RECORDED = Started(Kind.AGENT, "a", 1)
PASSING_EVENTS: tuple[Any, ...] = (
    StatusText(Kind.AGENT, "a", 1, status='{"event": "agent_started"}'),
    NotificationsRefused(Kind.SERVICE, "heartbeat", 1, strangers=1, malformed=2),
    TreeRefused(refused={"actor a": {"unsealed": 7}}),
)
ENTRY = Entry(event=RECORDED, supervisor="root", at="2026-01-02T03:04:05.000Z", monotonic=1.0, source="run:root", serial=1)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with 100,000 and 10,000, only sooner."""
    monkeypatch.setattr(journal_file, "EVENTS_KEPT", 600)
    monkeypatch.setattr(journal_file, "PASSING_KEPT", 300)


def written(path: Path, count: int, *, every: int) -> Journal:
    """A journal in which one event of `every` says what has happened; all others pass."""
    journal = Journal(path)
    first = journal.begin_run("run") + 1
    for seq in range(first, first + count):
        event = RECORDED if seq % every == 0 else PASSING_EVENTS[seq % len(PASSING_EVENTS)]
        source = "run:root" if event is RECORDED else f"run:{event.name}"
        journal.append(seq, replace(ENTRY, event=event, source=source, serial=seq), None)
    return journal


def test_those_are_the_events_that_may_come_again_and_again() -> None:
    suspect = ["agent_suspect", "service_suspect", "supervisor_suspect"]
    assert sorted(["agent_stalled", "agent_status", "service_refused", "tree_refused", *suspect]) == sorted(PASSING)


def test_however_many_come_all_that_has_happened_is_kept(tmp_path: Path) -> None:
    journal = written(tmp_path / "journal.sqlite", 10_000, every=50)
    kept = [(event["seq"], event["event"]) for event in journal.events()]
    recorded = [seq for seq, name in kept if name == "agent_started"]
    passing = [seq for seq, name in kept if name in PASSING]
    assert list(range(50, 10_001, 50)) == recorded
    # The last of them are there, and not many more.
    assert (True, 10_000 - 300 - 100 <= passing[0]) == (passing[-1] == 9_999, True), passing[:3]
    assert {seq for seq in range(9_701, 10_001) if seq % 50} <= set(passing)
    journal.close()


def test_what_has_happened_is_bounded_too(tmp_path: Path) -> None:
    journal = written(tmp_path / "journal.sqlite", 3_000, every=1)
    kept = [event["seq"] for event in journal.events()]
    assert (True, list(range(kept[0], 3_001))) == (600 <= len(kept) <= 800, kept)
    journal.close()
    again = written(tmp_path / "journal.sqlite", 300, every=1)
    assert 600 <= len(list(again.events())) <= 800
    again.close()


def test_an_event_that_was_deleted_early_is_not_new_when_it_is_sent_again(tmp_path: Path) -> None:
    """Also when older events of the same source are deleted after it."""
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    journal.begin_run("run")
    for seq in range(1, 701):
        event = RECORDED if seq <= 500 else PASSING_EVENTS[0]
        journal.append(seq, replace(ENTRY, event=event, source="run:quiet", serial=seq), None)
    for seq in range(701, 2_401):
        journal.append(seq, replace(ENTRY, serial=seq), None)
    journal.close()
    with closing(sqlite3.connect(path)) as db:
        assert [] == db.execute("SELECT seq FROM events WHERE source = 'run:quiet'").fetchall()
    again = Journal(path)
    again.begin_run("run")
    quiet = [again.is_new(replace(ENTRY, source="run:quiet", serial=serial)) for serial in (500, 700, 701)]
    assert [False, False, True] == quiet
    again.close()


def reports(every: float, for_seconds: float) -> int:
    """How many reports somebody causes who comes at intervals."""
    interval, now, due, count = ReportInterval(), 0.0, None, 0
    while now < for_seconds:
        if due is not None and due <= now:
            interval.reported(due)
            due, count = None, count + 1
        if due is None:
            due = now + interval.due_in(now)
        now += every
    return count


def test_what_strangers_cause_is_reported_less_and_less_often() -> None:
    assert 10 <= reports(1.0, 60.0) <= 12
    assert 50 <= reports(5.0, HOUR) <= 110
    assert reports(5.0, 30 * DAY) < 900
    # Nor by one who waits until it is forgotten.
    assert reports(DAY + 1, 30 * DAY) <= 30


def test_after_a_day_without_them_they_are_reported_soon_again() -> None:
    interval = ReportInterval()
    for number in range(200):
        interval.reported(float(number))
    assert [HOUR, 5.0] == [interval.due_in(1_000.0), interval.due_in(DAY + 200.0)]
