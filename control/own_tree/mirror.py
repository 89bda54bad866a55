"""A running tree as a program that follows its events sees it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Self

from suptree.actors import AgentStatus
from suptree.actors.errors import NotRunning, RequestTimeout, SuptreeError, UnknownEvent
from suptree.actors.events.entry import Entry, decode, entry_now
from suptree.actors.events.event_types import EventsSkipped, Exited, Kind, event_name
from suptree.actors.events.picture import Picture, is_alive
from suptree.actors.exits import Exit, ExitClass

from ..client.client import Client
from ..launcher.spawn import LauncherProcess

log = logging.getLogger(__name__)

_CATCH_UP = 10.0
_SKIPPED = event_name(EventsSkipped, Kind.TREE)


class Mirror:
    """A tree as one event loop sees it: a client, the picture that its events add up to, and the task that adds them."""

    def __init__(self, client: Client, first: dict[str, Any], heard: Callable[[Entry], None]) -> None:
        self.client = client
        self._heard_by = heard
        self.picture = Picture(first["rows"])
        self.last_word = (ExitClass.CRASH, "the tree's launcher died")
        self._seq: int = first["seq"]
        self._heard = asyncio.Condition()
        self._loop = asyncio.get_running_loop()
        self._follower = asyncio.create_task(self._follow())

    @classmethod
    async def of(cls, launcher: LauncherProcess, heard: Callable[[Entry], None], *, from_the_start: bool = False) -> Self:
        """A new mirror, which calls `heard` with each event from now on, or also with those of the start of its tree.

        Raises NotRunning when the launcher does not listen.
        """
        client = Client(launcher.paths.control_socket)
        try:
            first = await client.picture()
            for event in await client.known_events() if from_the_start else ():
                if event["seq"] <= first["seq"]:
                    heard(decode(event))
            return cls(client, first, heard)
        except BaseException:
            await client.close()
            raise

    @property
    def follows(self) -> bool:
        """Whether events arrive, and in the event loop that asks: the tasks of one that has ended have ended with it."""
        return self._loop is asyncio.get_running_loop() and not self._follower.done()

    @property
    def seq(self) -> int:
        """The number of the last event in the picture."""
        return self._seq

    async def entries(self, after: int) -> AsyncGenerator[Entry, None]:
        """Each event with a number above `after`, then each new one, until the tree ends."""
        async with contextlib.aclosing(self.client.events(after)) as events:
            async for event in events:
                with contextlib.suppress(UnknownEvent):  # A launcher of a later version may know more.
                    yield decode(event)

    async def until(self, true: Callable[[], bool]) -> None:
        """Return when that is true of the picture. Raises NotRunning when the tree ends first."""
        waiting = asyncio.create_task(self._see(true))
        try:
            await asyncio.wait({waiting, self._follower}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not true():
            raise NotRunning("the tree has ended")

    async def status_reached(self, agent_id: str, wanted: AgentStatus, limit: float | None) -> None:
        """Return when an agent has that status, also with a limit of 0 when it has it already.

        Raises RequestTimeout after `limit` seconds, NotRunning when the tree ends first.
        """

        def status() -> str | None:
            row = self.picture.rows.get(agent_id)
            return None if row is None or row["deleted"] or row["kind"] != Kind.AGENT else str(row["status"])

        try:
            async with asyncio.timeout(limit):
                await self.until(lambda: status() == wanted)
        except TimeoutError:
            if status() == wanted:
                return
            raise RequestTimeout(f"{agent_id!r} is {status() or 'not in the tree'}, and not {wanted}, after {limit:g} s") from None

    async def catch_up(self, seq: int) -> None:
        """Wait until what was answered is also in the picture. Raises NotRunning when the tree ended first."""
        heard = asyncio.create_task(self._see(lambda: self._seq >= seq))
        try:
            await asyncio.wait({heard, self._follower}, timeout=_CATCH_UP, return_when=asyncio.FIRST_COMPLETED)
        finally:
            heard.cancel()
        if self._seq < seq and self._follower.done():
            raise NotRunning("the tree has ended")
        if self._seq < seq:
            log.warning("events are late: number %d was awaited, and %d is the last that came", seq, self._seq)

    async def carry_out(self, command: Awaitable[int]) -> None:
        """Await a command, and then what was known when it was answered. Raises what the command raises, and NotRunning."""
        async with self.up_to_date():
            seq = await command
        await self.catch_up(seq)

    @contextlib.asynccontextmanager
    async def up_to_date(self) -> AsyncIterator[None]:
        """A command that is refused in this block, or fails, is raised when all that was known when it was answered is in the picture."""
        try:
            yield
        except SuptreeError as refusal:
            if refusal.seq is not None:
                await self.catch_up(refusal.seq)
            raise

    async def ended(self) -> None:
        """Wait until the last event of a tree that has ended is in the picture."""
        if self._loop is asyncio.get_running_loop():
            await asyncio.wait({self._follower})

    def end_all(self) -> None:
        """Enter an end for every agent whose own is not known, and never will be."""
        exit_class, reason = self.last_word
        how = Exit(exit_class, reason)
        for row in self.picture.of_kind("agent"):
            if is_alive(row):
                end = Exited(Kind.AGENT, row["id"], row["incarnation"], exit=how)
                self._apply(entry_now(end, row["supervisor"], source="", serial=0))

    async def _follow(self) -> None:
        async with self.client:
            with contextlib.suppress(SuptreeError):
                async for event in self.client.events(self._seq):
                    if event["event"] == _SKIPPED:
                        await self._begin_again()
                    if event["seq"] <= self._seq:
                        continue
                    with contextlib.suppress(UnknownEvent):  # A launcher of a later version may know more.
                        self._apply(decode(event))
                    async with self._heard:
                        self._seq = event["seq"]
                        self._heard.notify_all()
        self.end_all()

    async def _begin_again(self) -> None:
        """Take the picture as it is now: events of it were skipped."""
        now = await self.client.picture()
        self.picture = Picture(now["rows"])
        async with self._heard:
            self._seq = now["seq"]
            self._heard.notify_all()

    def _apply(self, entry: Entry) -> None:
        self.picture.apply(entry)
        self._heard_by(entry)

    async def _see(self, true: Callable[[], bool]) -> None:
        async with self._heard:
            await self._heard.wait_for(true)
