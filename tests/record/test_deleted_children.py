"""Of very many children that were deleted the record keeps no row, and the registry no death."""

import asyncio
import contextlib
import sqlite3
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.deaths.death_recorder import Deaths
from suptree.actors.events.entry import entry_now
from suptree.actors.events.event_types import Deleted, Event, Exited, Kind, Starting
from suptree.actors.exits import Exit, ExitClass
from suptree.actors.record.journal import Journal
from suptree.control import ProcessManager
from tests.polling import poll_until

KEPT, AGENTS = 3, 8
# One whose tree keeps the rows of three deleted children, and not of a thousand.
PYTHON = """#!/bin/sh
exec {python} -c '
import sys
from suptree.actors.events import picture
from suptree.control.launcher import launcher
picture._DELETED_KEPT = {kept}
sys.argv[1:] = sys.argv[-1:]
sys.exit(launcher.main())
' "$@"
"""


def ids_in(journal: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
        return {child for (child,) in db.execute("SELECT id FROM rows")}


def test_rows_of_deleted_children_leave_the_journal_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text(PYTHON.format(python=sys.executable, kept=KEPT), encoding="utf-8")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))

    async def run() -> set[str]:
        async with ProcessManager(tmp_path / "home") as pm:
            for number in range(AGENTS):
                assert await pm.start_agent(f"a{number}", "process_wrapper", {"command": "sleep", "args": ["1000"]})
                assert await pm.stop_agent(f"a{number}")
                assert await pm.delete_agent(f"a{number}")
            # One of which there is no row any more begins again, and has one.
            assert await pm.start_agent("a0", "process_wrapper", {"command": "sleep", "args": ["1000"]})
            journal = tmp_path / "home" / "trees" / "embedded" / "journal.sqlite"
            return await asyncio.to_thread(poll_until, lambda: found if len(found := ids_in(journal)) < AGENTS else set(), 20.0)

    agents = {child for child in asyncio.run(run()) if child.startswith("a")}
    assert {"a0", *(f"a{number}" for number in range(AGENTS - KEPT, AGENTS))} == agents


def test_a_row_that_is_dropped_while_the_journal_cannot_be_written_is_gone_when_it_can(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    journal.begin_run("run")
    for child in ("a", "b", "c"):
        journal.put({"id": child, "incarnation": 1, "restarts": 0})
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        journal.drop("a")
        journal.put({"id": "b", "incarnation": 2, "restarts": 0})
        journal.drop("c")
        journal.put({"id": "c", "incarnation": 1, "restarts": 0})
        shell.execute("COMMIT")
    journal.flush()
    assert [("b", 2), ("c", 1)] == [(row["id"], row["incarnation"]) for row in journal.rows()]
    journal.close()


def test_what_led_to_the_death_of_a_deleted_child_is_let_go(tmp_path: Path) -> None:
    deaths = Deaths("t", str(tmp_path))

    def live_and_die(number: int) -> None:
        child = f"a{number}"
        events: tuple[tuple[Event, bool], ...] = (
            (Starting(Kind.AGENT, child, 1, restarts=0, config={"command": "x" * 1000}), False),
            (Exited(Kind.AGENT, child, 1, exit=Exit(ExitClass.CRASH, f"SIGSEGV {number}")), True),
            (Deleted(Kind.AGENT, child, 1), False),
        )
        for serial, (event, died) in enumerate(events):
            evidence: dict[str, Any] = {
                "said": (), "out": (f"{number} " + "y" * 10_000,), "err": (), "usage": None, "swept": (), "environment": {},
                "from_log": False, "notes": (),
            }  # fmt: skip
            deaths.remember(entry_now(event, "root", source="root", serial=serial, evidence=evidence if died else None))

    live_and_die(0)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(1, 1000):
        live_and_die(number)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 1_000_000
