"""docs/events.md says which events there are, and all of them."""

import pathlib
import re
from typing import get_type_hints

from suptree.actors.events import event_types
from suptree.actors.events.entry import Entry
from suptree.actors.events.event_types import BY_EVENT_NAME, EVENT_TYPES, ChildEvent, Event, TreeEvent
from suptree.actors.record.journal import Journal

from .events_page import PAGE, page

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ("actors", "supervisors", "control", "scripts", "testing")


def test_the_page_is_made_from_the_types() -> None:
    assert page() == PAGE.read_text(), "stale: run `python -m tests.events.events_page`"


def test_every_type_of_event_stands_there() -> None:
    defined = {
        each
        for each in vars(event_types).values()
        if isinstance(each, type) and issubclass(each, ChildEvent | TreeEvent) and each not in (ChildEvent, TreeEvent)
    }
    assert set(EVENT_TYPES) == defined
    headings = [line for line in PAGE.read_text().splitlines() if line.startswith("## `")]
    assert set(BY_EVENT_NAME) == set(re.findall(r"`(\w+)`", " ".join(headings)))


TAKEN_APART = re.compile(r"""["']event["']\)?\]?\.(partition|split|startswith|endswith)""")


def test_nothing_takes_the_name_of_an_event_apart() -> None:
    """Its kind and its name are fields."""
    sources = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert [] == [path.name for path in sources if TAKEN_APART.search(path.read_text())]


def test_the_journal_takes_nothing_but_events_that_have_a_type() -> None:
    """So an event that is written is one of the page: `mypy` checks each call."""
    assert (Entry, Event) == (get_type_hints(Journal.append)["entry"], get_type_hints(Entry)["event"])
