"""A running tree as a program that follows its events sees it."""

import asyncio
import contextlib
import logging
from typing import Any, Self

from suptree.actors.errors import NotRunning, SuptreeError, UnknownEvent
from suptree.actors.events.entry import decode, entry_now
from suptree.actors.events.event_types import EventsSkipped, Exited, Kind, event_name
from suptree.actors.events.picture import Picture, is_alive
from suptree.actors.exits import Exit, ExitClass

from ..launcher.spawn import LauncherProcess
from .client import Client

log = logging.getLogger(__name__)

_CATCH_UP = 10.0
_SKIPPED = event_name(EventsSkipped, Kind.TREE)


class Mirror:
    """A tree as one event loop sees it: a client, the picture that its events add up to, and the task that adds them."""

    def __init__(self, client: Client, first: dict[str, Any]) -> None:
        self.client = client
        self.picture = Picture(first["rows"])
        self.last_word = (ExitClass.CRASH, "the tree's launcher died")
        self._seq = first["seq"]
        self._heard = asyncio.Condition()
        self._loop = asyncio.get_running_loop()
        self._follower = asyncio.create_task(self._follow())

    @classmethod
    async def of(cls, launcher: LauncherProcess) -> Self:
        """A new mirror, which knows all that has happened. Raises NotRunning when the launcher does not listen."""
        client = Client(launcher.paths.control_socket)
        try:
            return cls(client, await client.picture())
        except BaseException:
            await client.close()
            raise

    @property
    def follows(self) -> bool:
        """Whether events arrive, and in the event loop that asks: the tasks of one that has ended have ended with it."""
        return self._loop is asyncio.get_running_loop() and not self._follower.done()

    async def catch_up(self, seq: int) -> None:
        """Wait until what was answered is also in the picture. Raises NotRunning when the tree ended first."""
        heard = asyncio.create_task(self._hear(seq))
        try:
            await asyncio.wait({heard, self._follower}, timeout=_CATCH_UP, return_when=asyncio.FIRST_COMPLETED)
        finally:
            heard.cancel()
        if self._seq < seq and self._follower.done():
            raise NotRunning("the tree has ended")
        if self._seq < seq:
            log.warning("events are late: number %d was awaited, and %d is the last that came", seq, self._seq)

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
                self.picture.apply(entry_now(end, row["supervisor"], source="", serial=0))

    async def _follow(self) -> None:
        async with self.client:
            with contextlib.suppress(SuptreeError):
                async for event in self.client.events(self._seq):
                    if event["event"] == _SKIPPED:
                        await self._begin_again()
                    if event["seq"] <= self._seq:
                        continue
                    with contextlib.suppress(UnknownEvent):  # A launcher of a later version may know more.
                        self.picture.apply(decode(event))
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

    async def _hear(self, seq: int) -> None:
        async with self._heard:
            await self._heard.wait_for(lambda: self._seq >= seq)
