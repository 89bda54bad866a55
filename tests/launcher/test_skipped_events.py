"""A client that asks for events which are not kept any more is answered how many those are, and a mirror of the tree begins again."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from suptree.actors.errors import InputRefused
from suptree.actors.events.entry import Entry, encode
from suptree.actors.events.event_types import Kind, Started, StatusText
from suptree.actors.events.wording import sentence
from suptree.actors.record.link_offers import LinkOffers
from suptree.control.api.api import Api, application
from suptree.control.api.server import ApiServer
from suptree.control.client.client import Client
from suptree.control.door.bounds import Bounds
from suptree.control.door.header_checks import UNIX_HOSTS, Door
from suptree.control.door.http_protocol import Crowd
from suptree.control.door.listeners import listen_on_path
from suptree.control.launcher.link import Link
from suptree.control.own_tree.mirror import Mirror

BEFORE_RUN = 70
SAID = 10_020
LAST = BEFORE_RUN + SAID


def as_json(number: int) -> dict[str, Any]:
    """One event of an agent: it starts, then it says its number."""
    started = Started(Kind.AGENT, "a", 1, pid=7, ready=True)
    event = started if number == BEFORE_RUN + 1 else StatusText(Kind.AGENT, "a", 1, status=str(number))
    entry = Entry(event=event, supervisor="root", at="2026-01-02T03:04:05.678Z", monotonic=12.5, source="run:1", serial=number)
    return {"seq": number, **encode(entry)}


@contextlib.asynccontextmanager
async def tree_with_many_events(socket: Path) -> AsyncIterator[Link]:
    """The launcher's link, to which a registry has said all of them, and its API."""
    offers, link = LinkOffers(), Link()
    serving = asyncio.create_task(link.serve(offers))
    reader, writer = await asyncio.open_unix_connection(sock=offers.connect())
    await reader.readline()
    journal = {"path": None, "lost": 0, "waiting": 0, "why": None}
    said: list[dict[str, Any]] = [{"hello": {"seq": BEFORE_RUN, "before_run": BEFORE_RUN, "journal": journal}}]
    said += [{"event": as_json(number)} for number in range(BEFORE_RUN + 1, LAST + 1)]
    writer.write(b"".join(json.dumps(line).encode() + b"\n" for line in said))
    async for event in link.follow(0):
        if event["seq"] == LAST:
            break
    server = ApiServer(lambda: None)
    app = application(Api(cast(Any, SimpleNamespace(link=link, root=None))).routes())
    server.serve(Door(Bounds(app, lambda _why: None), lambda _why: None, UNIX_HOSTS), listen_on_path(socket), Crowd(lambda _why: None))
    yield link
    await server.stop()
    writer.close()
    serving.cancel()


def test_what_is_not_kept_any_more_is_counted_first_and_those_of_earlier_runs_are_not(short_folder: Path) -> None:
    async def ask() -> list[tuple[Any, ...]]:
        socket, answers = short_folder / "s", []
        async with tree_with_many_events(socket), Client(socket) as client:
            for after in (0, BEFORE_RUN, BEFORE_RUN + 5, BEFORE_RUN + 20, LAST - 1):
                known = await client.known_events(after)
                async with contextlib.aclosing(client.events(after)) as stream:
                    followed = [await anext(stream) for _ in known]
                assert [event["seq"] for event in known] == [event["seq"] for event in followed]
                assert [event["event"] for event in known] == [event["event"] for event in followed]
                assert [event["seq"] for event in known[1:]] == sorted({event["seq"] for event in known[1:]})
                answers.append((after, known[0]["event"], known[0].get("count"), known[0]["seq"], known[1:2], len(known)))
        return answers

    first = LAST - 10_000 + 1
    assert [
        # However much the agent says, its start is not pushed out.
        (0, "tree_events_skipped", 19, BEFORE_RUN, [as_json(BEFORE_RUN + 1)], 10_002),
        (BEFORE_RUN, "tree_events_skipped", 19, BEFORE_RUN, [as_json(BEFORE_RUN + 1)], 10_002),
        (BEFORE_RUN + 5, "tree_events_skipped", 15, first - 1, [as_json(first)], 10_001),
        (BEFORE_RUN + 20, "agent_status", None, first, [as_json(first + 1)], 10_000),
        (LAST - 1, "agent_status", None, LAST, [], 1),
    ] == asyncio.run(ask())


def test_a_mirror_whose_events_were_skipped_takes_the_picture_as_it_is(short_folder: Path) -> None:
    async def mirrored() -> tuple[dict[str, Any], dict[str, Any]]:
        socket = short_folder / "s"
        async with tree_with_many_events(socket) as link:
            mirror = Mirror(Client(socket), {"seq": BEFORE_RUN, "rows": []}, lambda _entry: None)
            await mirror.catch_up(LAST)
            return link.picture.rows, mirror.picture.rows

    kept, seen = asyncio.run(mirrored())
    assert kept == seen
    assert ("running", str(LAST)) == (seen["a"]["status"], seen["a"]["status_text"])


def test_after_a_refusal_the_mirror_knows_what_was_known_when_it_was_given(short_folder: Path) -> None:
    async def refused() -> object:
        socket, refusal = short_folder / "s", InputRefused("on purpose")
        refusal.seq = LAST
        async with tree_with_many_events(socket):
            mirror = Mirror(Client(socket), {"seq": LAST - 100, "rows": []}, lambda _entry: None)
            with pytest.raises(InputRefused):
                async with mirror.up_to_date():
                    raise refusal
            return mirror.picture.rows["a"]["status_text"]

    assert str(LAST) == asyncio.run(refused())


def test_people_read_how_many_there_are_and_where() -> None:
    event = {**as_json(BEFORE_RUN + 2), "event": "tree_events_skipped", "count": 20}
    assert "20 events before the next one are not kept here; the journal has them" == sentence(event)
