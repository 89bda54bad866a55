"""docs/events.md, made from the types of the events: `python -m tests.events.events_page` writes it anew."""

import dataclasses
import inspect
import pathlib
import typing
from collections.abc import Mapping

from suptree.actors.events.entry import Entry
from suptree.actors.events.event_types import EVENT_TYPES, Event, event_name
from suptree.actors.exits import CauseId, Exit

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "events.md"

INTRODUCTION = """# Events

What happens in a tree is written into its journal as events, and sent to every client: `suptree events --json`, `GET /events` (server-sent
events). Nothing else is written there. This page is made from `actors/events/event_types.py`; a test fails when it is stale.

Every event is a JSON object. `event` is its kind and its name in one word; programs that want either read `kind` and `name`.
The types: `text`, `whole number`, `number`, `true or false`, lists and objects of JSON; `or null` where there may be none.

| field | type | meaning |
|---|---|---|
| `seq` | whole number | the number of the event in the journal, in ascending order; `GET /events?after=SEQ` goes on there |
| `event` | text | `agent_started`, …: the headings below |
| `kind` | text | what it is about: `agent`, `supervisor`, `service` (the registry, the heartbeat actor) or `tree` |
| `name` | text | the same event without the kind: `started`, … |
| `id` | text or null | the child that it is about; null when it is about the tree |
| `incarnation` | whole number | which life of the child; not when it is about the tree |
| `supervisor` | text or null | the supervisor that reported it; the child's, if it is about a child |
| `at` | text | the time of day, UTC, ISO 8601 to the millisecond |
| `monotonic` | number | seconds on the clock of the machine, which runs on evenly |
| `source`, `serial` | text, whole number | who reported it, and its number there: an event that is sent twice is written once |

The launcher keeps the latest 10,000 events of the run. What programs and strangers can cause again and again does not count there, and the
latest 10,000 of these are kept beside them: `…_suspect`, `…_stalled`, `agent_status`, `service_refused` and `tree_refused`. To a client
that asks for older ones it sends a `tree_events_skipped` first, with
their number; the same comes where a client that follows is so slow that events are dropped before it has read them.
"""

_TYPES: dict[object, str] = {str: "text", int: "whole number", float: "number", bool: "true or false", typing.Any: "any value"}


def json_type(hint: object) -> str:
    """The type of a field in the words of the page."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Exit:
        return "object: an exit, see below"
    if origin is Mapping:
        return f"object: {json_type(arguments[1])} by name"
    if origin is tuple:
        return f"list: {json_type(arguments[0])}"
    if origin is not None:
        return " or ".join("null" if each is type(None) else json_type(each) for each in arguments)
    return _TYPES[hint]


def section(event_type: type[Event]) -> str:
    """What stands on the page about one event."""
    heading = ", ".join(f"`{event_name(event_type, kind)}`" for kind in event_type.kinds)
    hints = typing.get_type_hints(event_type)
    own = [each for each in dataclasses.fields(event_type) if each.name not in ("kind", "id", "incarnation")]
    rows = [f"| `{each.name}` | {json_type(hints[each.name])} |" for each in own]
    table = "\n".join(["", "| field | type |", "|---|---|", *rows, ""]) if rows else ""
    return f"## {heading}\n\n{inspect.getdoc(event_type)}\n{table}"


def exits() -> str:
    """What stands there about the `exit` of an event."""
    return (
        "## An exit\n\n"
        "The `exit` of an event has the fields `class` (one of the exit classes in [post-mortems.md](post-mortems.md)),\n"
        "`reason` (for people), `last_error` (what it said last, or null), `during_start` (true when it ended before it was ready),\n"
        "`cause` (what happened, where that is known more exactly than by the class, or null), `signal` (the number of the signal\n"
        "that ended its program or its actor, or null) and `code` (the exit status of its program, or null). The causes:\n"
        f"{', '.join(f'`{cause}`' for cause in CauseId)}.\n"
    )


def page() -> str:
    """The whole page."""
    known = {each.name for each in dataclasses.fields(Entry)} - {"event", "evidence"}
    missing = [name for name in known if f"`{name}`" not in INTRODUCTION]
    if missing:
        raise ValueError(f"the introduction lacks {missing}")
    return "\n".join([INTRODUCTION, *map(section, EVENT_TYPES), exits()])


if __name__ == "__main__":
    PAGE.write_text(page())
