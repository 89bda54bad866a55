"""What `suptree explain` says of how it stands now."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.deaths import post_mortem_files as files
from suptree.actors.deaths.explanation import deaths_of, explanation, explanation_after_the_run, screen
from suptree.actors.deaths.what_follows import NEXT
from suptree.actors.events.picture import Picture
from suptree.supervisors.decisions.core_commands import Decision

AT = "2026-01-02T03:04:05.678Z"
NOW = datetime(2026, 1, 2, 3, 4, 10, tzinfo=UTC)
ROOT: dict[str, Any] = {"id": "root", "status": "running"}


def row(status: str, **fields: Any) -> dict[str, Any]:
    known = {"id": "a", "supervisor": "root", "incarnation": 2, "status": status, "started_at": AT, **fields}
    return Picture([known]).rows["a"]


def death(decision: str | None, delay: float = 0.0, at: str = AT) -> dict[str, Any]:
    decided = {"decision": decision, "why": "so it is", "delay": delay, "affected": ["a"], "restarts_left": 1, "at": AT}
    return {
        "id": "a", "kind": "agent", "incarnation": 2, "at": at, "lifetime": 1.0,
        "exit": {"class": "failed", "reason": "exit 1", "last_error": None},
        "config": {}, "timeline": [], "decision": decided if decision else None, "file": "/state/a.txt",
        "evidence": {"out": [], "err": [], "usage": None, "swept": [], "environment": {}, "from_log": False},
    }  # fmt: skip


DEAD = row("crashed", stopped_at=AT, last_exit={"class": "failed", "reason": "exit 1", "at": AT})


def test_it_has_words_for_every_decision() -> None:
    decisions = [decision.value for decision in Decision]
    assert set(decisions) == {decision for decision in NEXT if decision is not None}
    for decision in decisions:
        said = explanation("t", DEAD, ROOT, [death(decision)], NOW)
        assert all(screen(said))


def waiting(decision: str) -> dict[str, Any]:
    """One that waits, `until` so many seconds after the test has begun."""
    return {**DEAD, "decision": decision, "why": "so it is", "until": 56.45}


@pytest.mark.parametrize(
    ("found", "deaths", "text", "todo"),
    [
        (row("running", pid=7), [], "running since 2026-01-02 03:04:05 UTC (#2, pid 7)", None),
        (
            row("running", status_text="at work"),
            [],
            "running since 2026-01-02 03:04:05 UTC (#2): at work",
            None,
        ),
        (row("starting"), [death("restart")], "starting (#2)", None),
        # The clock was set after the decision: what counts is how long it still waits.
        (waiting("restart"), [death("restart", 9.0)], "backing off: started again at 2026-01-02 03:05:06 UTC (56 s from now)", None),
        (
            DEAD,
            [death("restart", 60.0)],
            "crashed since 2026-01-02 03:04:05 UTC: failed, exit 1",
            "suptree start a",
        ),
        (
            waiting("park"),
            [death("park", 9.0)],
            "parked until its quota is back: started again at 2026-01-02 03:05:06 UTC (56 s from now)",
            "nothing; or, to start it before its time: suptree start a",
        ),
        (DEAD, [death("hold")], "held for a person (since 2026-01-02 03:04:05 UTC)", "fix the cause, then: suptree start a"),
        (
            DEAD,
            [death("quarantine")],
            "quarantined: down until a person starts it (since 2026-01-02 03:04:05 UTC)",
            "fix the cause, then: suptree start a",
        ),
        (DEAD, [death("leave")], "left down, as its restart type says (since 2026-01-02 03:04:05 UTC)", "suptree start a"),
        (DEAD, [death("escalate")], "down: its supervisor gave up (since 2026-01-02 03:04:05 UTC)", "suptree explain root"),
        (DEAD, [death(None)], "crashed since 2026-01-02 03:04:05 UTC: failed, exit 1", "suptree start a"),
        # The last death is not how it ended last.
        (
            row("stopped", stopped_at=AT, last_exit={"class": "shutdown", "reason": "SIGINT", "at": AT}),
            [death("hold", at="2026-01-01T00:00:00.000Z")],
            "stopped since 2026-01-02 03:04:05 UTC: shutdown, SIGINT",
            "suptree start a",
        ),
    ],
)
def test_how_it_stands_and_what_can_be_done(found: dict[str, Any], deaths: list[Any], text: str, todo: str | None) -> None:
    if found["until"] is not None:
        found = {**found, "until": time.monotonic() + found["until"]}
    assert {"status": found["status"], "text": text, "do": todo} == explanation("shop", found, ROOT, deaths, NOW)["now"]


def test_what_is_under_a_supervisor_that_is_down_is_started_with_it() -> None:
    explained = explanation("shop", DEAD, {"id": "desk", "status": "crashed"}, [death("hold")], NOW)
    assert "suptree start desk" == explained["now"]["do"]


def test_one_that_never_died_says_so() -> None:
    assert ["a has not died.", "now        running since 2026-01-02 03:04:05 UTC (#2)"] == screen(
        explanation("shop", row("running"), ROOT, [], NOW)
    )


LATER = "2026-01-02T03:04:08.000Z"
LAST = {"class": "failed", "reason": "exit 3", "last_error": "oh no", "at": LATER}
NOT_THERE = [
    "died       2026-01-02 03:04:08 UTC",
    "exit       failed: exit 3; oh no",
    "what       It failed: it ended by itself, and not with success.",
    "because    its exit status was not 0, or its run() raised an exception",
    "advice     See the end of its error output: the last lines mostly say why.",
    "note       Its post-mortem is not there, or cannot be read: the disk was full, it was removed, or",
    "           newer ones took its place; launcher.log says what could not be written.",
]


@pytest.mark.parametrize(
    ("found", "number", "now"),
    [
        (row("running", incarnation=6, last_exit=LAST), 5, ["now        running since 2026-01-02 03:04:05 UTC (#6)"]),
        (row("running", incarnation=1, last_exit=LAST), None, ["now        running since 2026-01-02 03:04:05 UTC (#1)"]),
        (
            row("crashed", incarnation=5, last_exit=LAST, stopped_at=LATER, decision="hold", why="so it is"),
            5,
            [
                "now        crashed since 2026-01-02 03:04:08 UTC: hold: so it is (oh no)",
                "to do      fix the cause, then: suptree start a",
            ],
        ),
    ],
)
@pytest.mark.parametrize("earlier", [[], [death("restart", 2.0)]])
def test_a_last_death_without_a_post_mortem_is_no_earlier_one_and_not_passed_over(
    found: dict[str, Any], number: int | None, now: list[str], earlier: list[Any]
) -> None:
    explained = explanation("shop", found, ROOT, earlier, NOW)
    assert {"incarnation": number, "runs": found["type"], "at": LATER, "exit": LAST} == explained["missing"]
    assert [
        f"a{f' #{number}' if number else ''} died; its post-mortem is missing",
        *NOT_THERE,
        *["earlier    #2  2026-01-02 03:04:05  failed, exit 1 → restart after 2.0 s"][: len(earlier)],
        *now,
    ] == screen(explained)


@pytest.mark.parametrize(
    ("found", "deaths"),
    [
        # The row is older than the newest death: it died while the answer was made.
        (row("running", last_exit={**LAST, "at": AT}), [death(None, at=LATER), death("restart")]),
        (row("stopped", last_exit={**LAST, "class": "shutdown"}), [death("restart")]),
        (row("stopped", last_exit={**LAST, "class": "normal"}, decision="leave", why="so it is"), [death("restart")]),
        (row("running"), [death("restart")]),
    ],
)
def test_nothing_is_missing_where_the_last_end_is_explained_or_was_wanted(found: dict[str, Any], deaths: list[Any]) -> None:
    assert None is explanation("shop", found, ROOT, deaths, NOW)["missing"]


def test_a_normal_end_that_was_not_wanted_is_missing_too() -> None:
    found = row("stopped", last_exit={**LAST, "class": "normal"}, decision="quarantine", why="so it is")
    assert LATER == explanation("shop", found, ROOT, [], NOW)["missing"]["at"]


def test_earlier_deaths_are_reported_in_a_line_each() -> None:
    lines = screen(explanation_after_the_run("shop", "a", [death("hold"), *[death("restart", 2.0)] * 6]))
    assert "a #2 died; the last of 7 deaths that are known" == lines[0]
    assert [
        "earlier    #2  2026-01-02 03:04:05  failed, exit 1 → restart after 2.0 s",
        *["           #2  2026-01-02 03:04:05  failed, exit 1 → restart after 2.0 s"] * 3,
        "           … and 2 before",
        "now        tree shop does not run",
        "to do      suptree up FILE",
    ] == lines[-7:]


def kept(state: Path, run_began: str, incarnation: int, at: str) -> None:
    written = {**death("restart", at=at), "run_began": run_began, "incarnation": incarnation, "tree": "shop", "supervisor": "root"}
    files.write(state, {**written, "made_by": "suptree", "log": None})


def test_deaths_of_a_run_are_in_order_also_when_the_clock_was_set(tmp_path: Path) -> None:
    runs = ("2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z")
    kept(tmp_path, runs[0], 9, "2026-01-01T10:00:00.000Z")
    for incarnation, hour in ((1, 10), (2, 11), (3, 9)):
        kept(tmp_path, runs[1], incarnation, f"2026-01-02T{hour:02}:00:00.000Z")
    assert [3, 2, 1, 9] == [death["incarnation"] for death in deaths_of(tmp_path, "a")]


def test_after_the_clock_was_set_back_the_newest_deaths_are_kept(tmp_path: Path) -> None:
    for incarnation in range(1, files.PER_CHILD + 1):
        kept(tmp_path, AT, incarnation, f"2026-01-02T13:00:{incarnation:02}.000Z")
    for incarnation in range(files.PER_CHILD + 1, files.PER_CHILD + 4):
        kept(tmp_path, AT, incarnation, f"2026-01-02T12:00:{incarnation:02}.000Z")
    assert list(range(files.PER_CHILD + 3, 3, -1)) == [death["incarnation"] for death in deaths_of(tmp_path, "a")]
