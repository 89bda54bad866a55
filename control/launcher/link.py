"""The launcher's end of the link to the registry: a mirror of the picture, its events, and the way for commands."""

import asyncio
import contextlib
import heapq
import socket
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import takewhile
from operator import itemgetter
from typing import Any

from suptree.actors.base.life_stamps import STAMPS
from suptree.actors.errors import RequestTimeout, UnknownEvent
from suptree.actors.events.entry import decode, encode, entry_now
from suptree.actors.events.event_types import PASSING, EventsSkipped, Kind, TreeReady, event_name
from suptree.actors.events.picture import Picture
from suptree.actors.record.link_lines import LINE_LIMIT, line_of, lines_of
from suptree.actors.record.link_offers import LinkOffers

from ..time_limits import no_answer

_EVENTS_KEPT = 10_000
_TAKE_BACK_LIMIT = 60.0
_READY = event_name(TreeReady, Kind.TREE)


@dataclass(frozen=True, slots=True)
class _Asked:
    line: bytes
    answer: asyncio.Future[dict[str, Any]]
    hear: Callable[[Any], None] | None


class Link:
    """What the registry knows, as it says it; survives the death of a registry."""

    def __init__(self) -> None:
        self.picture = Picture()
        self.events: deque[dict[str, Any]] = deque(maxlen=_EVENTS_KEPT)
        """All but those that may come again and again (`PASSING`), which are kept apart."""
        self._passing: deque[dict[str, Any]] = deque(maxlen=_EVENTS_KEPT)
        self.ready = asyncio.Event()
        self.journal: dict[str, Any] = {"path": None, "lost": 0, "waiting": 0, "why": None}
        """How many events of this run are missing from the journal or wait for it, and why."""
        self._seq = 0
        self._before_run: int | None = None
        """The number of the last event before this run."""
        self._heard_at = time.monotonic()
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[str, _Asked] = {}
        self._taking_back: set[asyncio.Task[Any]] = set()
        self._changed = asyncio.Condition()

    @property
    def seq(self) -> int:
        """The number of the last event that the mirror contains."""
        return self._seq

    @property
    def age(self) -> float:
        """How many seconds old the mirror may be, as far as is known without asking: since the registry last showed that it works."""
        works = STAMPS.seen("registry") if self._writer is not None else 0.0
        return time.monotonic() - max(self._heard_at, works)

    async def serve(self, offers: LinkOffers) -> None:
        """Talk to each registry that connects, until this is cancelled."""
        loop = asyncio.get_running_loop()
        offered = asyncio.Event()
        loop.add_reader(offers.fileno(), offered.set)
        try:
            async with asyncio.TaskGroup() as talks:
                while True:
                    await offered.wait()
                    offered.clear()
                    while (connection := offers.take()) is not None:
                        talks.create_task(self._talk(connection))
        finally:
            loop.remove_reader(offers.fileno())

    async def ask(
        self,
        operation: str,
        target: str,
        arguments: dict[str, Any] | None = None,
        *,
        limit: float,
        hear: Callable[[Any], None] | None = None,
        request: str | None = None,
    ) -> dict[str, Any]:
        """Send a command and return its answer (`answer`, `value`, `seq`); raises RequestTimeout after `limit` seconds.

        `request` is the id of the request, which is carried out once. `hear` gets each part of an answer that comes in parts. A question to
        an agent is taken back when no client waits for the answer any more.
        """
        request = request or uuid.uuid4().hex
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        line = line_of({"request": request, "operation": operation, "target": target, "arguments": arguments or {}})
        self._asked[request] = _Asked(line, answer, hear)
        try:
            async with asyncio.timeout(limit):
                if self._writer is not None:
                    self._writer.write(line)
                return await answer
        except TimeoutError:
            raise no_answer(operation, target, limit) from None
        finally:
            del self._asked[request]
            if operation == "ask" and (answer.cancelled() or not answer.done()):
                self._take_back(request, target)

    def _take_back(self, request: str, target: str) -> None:
        """Let the agent know, now or when there is a registry again."""

        async def tell() -> None:
            with contextlib.suppress(RequestTimeout):
                await self.ask("unask", target, {"request": request}, limit=_TAKE_BACK_LIMIT)

        task = asyncio.get_running_loop().create_task(tell())
        self._taking_back.add(task)
        task.add_done_callback(self._taking_back.discard)

    def known(self, after: int) -> list[dict[str, Any]]:
        """The events with a number above `after` that are kept; when some are not, an `EventsSkipped` comes first, which counts these."""
        found = list(heapq.merge(_newer(self.events, after), _newer(self._passing, after), key=itemgetter("seq")))
        skipped = found[-1]["seq"] - max(after, self._before_run or 0) - len(found) if found else 0
        if skipped > 0:
            marker = encode(entry_now(EventsSkipped(count=skipped), None, source="launcher", serial=0))
            found.insert(0, {"seq": found[0]["seq"] - 1, **marker})
        return found

    async def follow(self, after: int) -> AsyncIterator[dict[str, Any]]:
        """Every event with a number above `after`, as they come; an `EventsSkipped` stands for those that are not kept any more."""
        while True:
            for event in self.known(after):
                after = event["seq"]
                yield event
            async with self._changed:
                while self._seq <= after:
                    await self._changed.wait()

    async def _talk(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LINE_LIMIT)
        self._writer = writer
        writer.write(line_of({"seq": self._seq}))
        # What the last registry took with it is asked again; the supervisors know what they have done already.
        for asked in self._asked.values():
            writer.write(asked.line)
        before_hello: dict[str, list[dict[str, Any]]] = {"rows": [], "events": []}
        try:
            async for said in lines_of(reader):
                self._heard_at = time.monotonic()
                if part := said.get("before_hello"):
                    for what, some in part.items():
                        before_hello[what] += some
                    continue
                if hello := said.get("hello"):
                    hello.update(before_hello)
                await self._take(said)
        except ConnectionError:
            pass
        finally:
            if self._writer is writer:
                self._writer = None
            writer.close()

    async def _take(self, said: dict[str, Any]) -> None:
        if hello := said.get("hello"):
            self.picture = Picture(hello["rows"])
            if self._before_run is None:
                self._before_run = hello["before_run"]
            for event in hello["events"]:
                self._keep(event)
            self._seq = max(self._seq, hello["seq"])
            self.journal = hello["journal"]
        elif journal := said.get("journal"):
            self.journal = journal
        elif rows := said.get("rows"):
            self.picture.replace(rows)
        elif event := said.get("event"):
            with contextlib.suppress(UnknownEvent):
                self.picture.apply(decode(event))
            self._keep(event)
        elif (answer := said.get("answer")) and (asked := self._asked.get(answer["request"])) and not asked.answer.done():
            if not answer["more"]:
                asked.answer.set_result(answer)
            elif asked.hear is not None:
                asked.hear(answer["value"])
        async with self._changed:
            self._changed.notify_all()

    def _keep(self, event: dict[str, Any]) -> None:
        if event["seq"] > self._seq or not (self.events or self._passing):
            (self._passing if event["event"] in PASSING else self.events).append(event)
            self._seq = event["seq"]
        if event["event"] == _READY:
            self.ready.set()


def _newer(events: deque[dict[str, Any]], after: int) -> list[dict[str, Any]]:
    """Those with a number above `after`; a client that follows asks for the last few of very many."""
    return list(takewhile(lambda event: event["seq"] > after, reversed(events)))[::-1]
