"""Events as JSON objects: what is written can be read, and nothing else is taken for an event."""

import json
from dataclasses import replace
from typing import Any

import pytest

from suptree.actors.errors import UnknownEvent
from suptree.actors.events.entry import Entry, decode, encode
from suptree.actors.events.event_types import (
    BY_EVENT_NAME,
    EVENT_TYPES,
    Decided,
    Deleted,
    Event,
    EventsLost,
    EventsSkipped,
    Exited,
    Ignored,
    Kind,
    NotificationsRefused,
    Ready,
    Stalled,
    Started,
    Starting,
    StatusText,
    Stopping,
    Suspect,
    TreeReady,
    TreeRefused,
    Unkillable,
    WaitCancelled,
)
from suptree.actors.events.wording import line
from suptree.actors.exits import Exit, ExitClass

EXIT = Exit(ExitClass.FAILED, "exit 1", "no such file", during_start=True)
ONE_OF_EACH: list[Event] = [
    Starting(Kind.AGENT, "a", 2, restarts=1, actor_pid=10, type="process_wrapper", config={"command": "sh", "args": ["-c", "true"]}),
    Starting(Kind.SUPERVISOR, "s", 1, restarts=0, actor_pid=11, strategy="one_for_one", max_restarts=3, within=5.0),
    Started(Kind.AGENT, "a", 2, pid=12, ready=False),
    Ready(Kind.AGENT, "a", 2),
    Stopping(Kind.SERVICE, "heartbeat", 1, why="SIGKILL"),
    Exited(Kind.AGENT, "a", 2, exit=EXIT, swept=(13, 14)),
    Ignored(Kind.AGENT, "a", 2, exit=EXIT),
    Decided(Kind.AGENT, "a", 2, decision="restart", why="failed", delay=1.5, affected=("a", "b"), restarts_left=2, charged=True),
    WaitCancelled(Kind.AGENT, "a", 2),
    Deleted(Kind.AGENT, "a", 2),
    Suspect(Kind.AGENT, "a", 2, suspect=True, age=3.25),
    Stalled(Kind.AGENT, "a", 2, seconds=60.0),
    Unkillable(Kind.AGENT, "a", 2, pids=(15,)),
    StatusText(Kind.AGENT, "a", 2, status="suspect: me"),
    NotificationsRefused(Kind.SERVICE, "heartbeat", 1, strangers=2, malformed=3),
    TreeReady(),
    TreeRefused(refused={"control": {"stranger": 2}}),
    EventsLost(count=3, why="database or disk is full"),
    EventsSkipped(count=4),
]


def entry(event: Event) -> Entry:
    return Entry(event=event, supervisor="root", at="2026-01-02T03:04:05.678Z", monotonic=12.5, source="run:1", serial=7)


def test_there_is_an_example_of_each_type() -> None:
    assert set(EVENT_TYPES) == {type(event) for event in ONE_OF_EACH}


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.name)
def test_what_is_written_as_json_is_read_again(event: Event) -> None:
    written = json.loads(json.dumps(encode(entry(event))))
    assert replace(entry(event), seq=3) == decode({"seq": 3, **written})
    assert (event.kind, event.name) == (written["kind"], written["name"])
    assert (type(event), event.kind) == BY_EVENT_NAME[written["event"]]


GOOD = encode(entry(ONE_OF_EACH[0]))


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {**GOOD, "event": "agent_removed"},
        {**GOOD, "event": "tree_started"},
        {**GOOD, "event": 7},
        {**GOOD, "incarnation": "2"},
        {**GOOD, "incarnation": True},
        {**GOOD, "restarts": None},
        {**GOOD, "config": ["command"]},
        {**GOOD, "monotonic": "12"},
        {key: value for key, value in GOOD.items() if key != "id"},
        {key: value for key, value in GOOD.items() if key != "at"},
        {**encode(entry(ONE_OF_EACH[5])), "exit": {"class": "bored", "reason": ""}},
        {**encode(entry(ONE_OF_EACH[5])), "exit": "failed"},
    ],
)
def test_what_is_no_event_is_refused_and_still_shown(bad: dict[str, Any]) -> None:
    with pytest.raises(UnknownEvent):
        decode(bad)
    assert str(bad.get("event")) in line(bad)


def test_what_an_older_or_a_newer_version_wrote_is_read_as_far_as_it_is_known() -> None:
    old = {key: value for key, value in encode(entry(ONE_OF_EACH[5])).items() if key not in ("kind", "name", "swept")}
    old["exit"] = {"class": "failed", "reason": "exit 1"}
    assert Exited(Kind.AGENT, "a", 2, exit=Exit(ExitClass.FAILED, "exit 1")) == decode({**old, "mood": "good"}).event
