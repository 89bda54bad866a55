"""Rows of a journal that somebody edited while the tree runs: the next registry sets them aside, and none that it reads makes it fail."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.deaths.death_recorder import Deaths
from suptree.actors.events.entry import Entry, entry_now
from suptree.actors.events.event_types import Decided, Exited, Kind, Started, Starting, Stopping
from suptree.actors.events.picture import Picture, is_row
from suptree.actors.exits import Exit, ExitClass
from suptree.actors.record.journal import Journal
from suptree.control.api.json_answer import JsonAnswer

VALUES: tuple[Any, ...] = (None, True, 7, -0.5, "x", "", [], ["x"], [None], {}, {"x": 7}, {"class": "x", "reason": "", "at": ""})


def entry(event: Any, supervisor: str, serial: int) -> Entry:
    return entry_now(event, supervisor, source=supervisor, serial=serial)


def picture() -> Picture:
    """One that has seen an agent live, die and start again."""
    found = Picture()
    for serial, event in enumerate(
        (
            Starting(Kind.AGENT, "a", 1, restarts=0, actor_pid=5, config={"command": "sh"}),
            Started(Kind.AGENT, "a", 1, pid=6),
            Exited(Kind.AGENT, "a", 1, exit=Exit(ExitClass.CRASH, "SIGSEGV", signal=11)),
            Decided(Kind.AGENT, "a", 1, decision="restart", why="crash", delay=3.0, affected=("a",), charged=True),
        )
    ):
        found.apply(entry(event, "root", serial))
    return found


def use(rows: Picture, folder: Path) -> None:
    """As a registry does that has read these rows, and the launcher that gets them."""
    deaths = Deaths("t", str(folder))
    for serial, event in enumerate((Starting(Kind.AGENT, "a", 9, restarts=1), Stopping(Kind.AGENT, "a", 9, why="stop")), start=9):
        rows.apply(entry(event, "root", serial))
    end = entry(Exited(Kind.SUPERVISOR, "root", 9, exit=Exit(ExitClass.CRASH, "SIGKILL")), "top", 20)
    rows.apply(entry(Starting(Kind.SUPERVISOR, "root", 9, restarts=0), "top", 19))
    rows.apply(end)
    for below in rows.below("root"):
        if (below["last_exit"] or {}).get("at") == end.at:
            deaths.ended_below(below, end)
    JsonAnswer(list(rows.rows.values()))


def test_each_edited_row_is_none_or_can_be_used(tmp_path: Path) -> None:
    (good,) = picture().rows.values()
    assert is_row(good)
    refused = 0
    for name in good:
        for value in VALUES:
            edited = {**good, name: value}
            if is_row(edited):
                use(Picture([edited]), tmp_path)
            else:
                refused += 1
    assert 150 < refused, refused


@pytest.mark.parametrize(
    "edit", ['"restarted_at": 7', '"last_exit": {"class": "crash"}', '"until": NaN', '"until": 1e999', '"supervisor": []']
)
def test_a_row_that_is_none_is_set_aside_and_the_others_are_read(edit: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    journal.begin_run("run")
    (row,) = picture().rows.values()
    for child in ("a", "b"):
        journal.put({**row, "id": child})
    journal.close()
    text = json.dumps({"id": "b", "incarnation": 1, "restarts": 0})
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE rows SET row = ? WHERE id = 'b'", (f"{text[:-1]}, {edit}}}",))
    again = Journal(path)
    again.begin_run("run")
    assert ["a"] == [found["id"] for found in again.rows()]
    again.close()
    with closing(sqlite3.connect(path)) as db:
        assert [("rows b",)] == db.execute("SELECT origin FROM unreadable").fetchall()
