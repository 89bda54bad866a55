"""The files of post-mortems, edited: what cannot be shown is none, and neither the registry nor `explain` fails over it."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.deaths.death_recorder import Deaths
from suptree.actors.deaths.explanation import deaths_of, explanation, explanation_after_the_run, screen
from suptree.actors.deaths.post_mortem import compose, parse
from suptree.actors.deaths.post_mortem_files import folder
from suptree.actors.events.entry import Entry, entry_now
from suptree.actors.events.event_types import Exited, Kind, Starting
from suptree.actors.events.picture import Picture
from suptree.actors.exits import Exit, ExitClass
from suptree.control.api.json_answer import JsonAnswer

from .test_post_mortem import DEATH

VALUES: tuple[Any, ...] = (None, True, 7, -0.5, "x", "", [], ["x"], [7], [None], {}, {"x": 7}, 10**30)


def places(value: Any, *above: Any) -> Iterator[tuple[Any, ...]]:
    """The way to each value in a value."""
    if above:
        yield above
    if isinstance(value, dict | list):
        for name, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(below, *above, name)


def changed(way: tuple[Any, ...], change: Callable[[Any, Any], None]) -> dict[str, Any]:
    """The death with one value changed; `change` gets what holds the value, and its name there."""
    death: dict[str, Any] = json.loads(json.dumps(DEATH))
    holder: Any = death
    for name in way[:-1]:
        holder = holder[name]
    change(holder, way[-1])
    return death


def file_of(death: dict[str, Any]) -> str:
    return compose(DEATH).rpartition("\n{")[0] + "\n" + json.dumps(death) + "\n"


def remove(holder: Any, name: Any) -> None:
    del holder[name]


def edited() -> Iterator[dict[str, Any]]:
    for way in places(DEATH):
        yield changed(way, remove)
        for value in VALUES:

            def put(holder: Any, name: Any, value: Any = value) -> None:
                holder[name] = value

            yield changed(way, put)


def test_each_edited_post_mortem_is_shown_or_is_none() -> None:
    unread = 0
    for death in edited():
        found = parse(file_of(death))
        if found is None:
            unread += 1
            continue
        shown = screen(explanation_after_the_run("t", "coder", [{**found, "file": "f"}, {**found, "file": "f"}]))
        assert all(isinstance(line, str) for line in shown)
        JsonAnswer(found)
        # A registry takes the evidence of it into a death of its own.
        compose({**DEATH, "evidence": found["evidence"]})
    assert 500 < unread, unread
    assert DEATH == parse(file_of(DEATH))


NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000]


@pytest.mark.parametrize("number", NUMBERS, ids=[number[:9] for number in NUMBERS])
@pytest.mark.parametrize("name", ["lifetime", "in its config"])
def test_a_number_that_json_does_not_know_makes_it_none(number: str, name: str) -> None:
    before = '"lifetime": 12.34' if name == "lifetime" else '"cwd": "/work"'
    text = compose(DEATH)
    assert DEATH == parse(text)
    assert parse(text.replace(before, f"{before.partition(':')[0]}: {number}" if name == "lifetime" else f'"other": {number}')) is None


def begun(child: str, supervisor: str, kind: Kind) -> Entry:
    return entry_now(Starting(kind, child, 1, restarts=0, actor_pid=5), supervisor, source=supervisor, serial=1)


EDITS: dict[str, Callable[[str], str]] = {
    "another key": lambda body: body.replace('"at":', '"bt":'),
    "no exit": lambda body: body.replace('"exit":', '"exiu":'),
    "no evidence": lambda body: body.replace('"evidence":', '"evidencf":'),
    "evidence of nothing": lambda body: body.replace('"from_log":', '"from_lob":'),
    "very deep": lambda _body: '{"a":' + "[" * 200_000,
    "deep": lambda body: body.replace('"config": {}', '"config": {"a": ' + "[" * 300 + "]" * 300 + "}"),
    "no object": lambda _body: "7",
    "cut": lambda body: body[:-20],
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_registry_that_looks_there_for_the_evidence_of_a_death_goes_on(edit: Callable[[str], str], tmp_path: Path) -> None:
    """An earlier run has kept the death of an incarnation with the same number."""
    evidence: dict[str, Any] = {
        "said": (),
        "out": (),
        "err": (),
        "usage": None,
        "swept": (),
        "environment": {},
        "from_log": False,
        "notes": (),
    }
    earlier = Deaths("t", str(tmp_path), "2026-01-01T00:00:00.000Z")
    earlier.hear(begun("x", "s1", Kind.AGENT))
    died = Exited(Kind.AGENT, "x", 1, exit=Exit(ExitClass.CRASH, "SIGSEGV"))
    earlier.hear(entry_now(died, "s1", source="s1", serial=2, evidence=evidence))
    (file,) = folder(tmp_path).iterdir()
    head, marker, body = file.read_text().rpartition("(JSON):\n")
    after = edit(body)
    assert body != after
    file.write_text(head + marker + after)

    picture, deaths = Picture(), Deaths("t", str(tmp_path), "2026-01-02T00:00:00.000Z")
    for entry in (begun("s1", "root", Kind.SUPERVISOR), begun("x", "s1", Kind.AGENT)):
        picture.apply(entry)
        deaths.hear(entry)
    end = entry_now(Exited(Kind.SUPERVISOR, "s1", 1, exit=Exit(ExitClass.CRASH, "SIGKILL")), "root", source="root", serial=9)
    picture.apply(end)
    deaths.ended_below(picture.rows["x"], end)

    kept = deaths_of(tmp_path, "x")
    assert [end.at] == [death["at"] for death in kept]
    JsonAnswer(explanation("t", picture.rows["x"], picture.rows["s1"], kept, datetime.now(UTC)))
