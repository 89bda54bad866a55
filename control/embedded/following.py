"""What a program follows for as long as it likes: the output of an agent, the events of a tree."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from typing import TypeVar

from suptree.actors.events.entry import Entry

from ..own_tree.embedded_tree import EmbeddedTree
from .agent_output import AgentOutput, OutputLine

Item = TypeVar("Item")

_AHEAD = 100


async def read_ahead(source: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
    """The items of `source`, read in a task of its own, up to a hundred items ahead; and what it raises.

    A reader may leave in the middle, and the event loop may end then: of generators that await each other asyncio would close all at the
    same time, which fails.
    """
    items: deque[Item] = deque()
    changed, room = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        async with contextlib.aclosing(source):
            async for item in source:
                items.append(item)
                changed.set()
                if len(items) >= _AHEAD:
                    room.clear()
                    await room.wait()

    reading = asyncio.create_task(read())
    reading.add_done_callback(lambda _: changed.set())
    try:
        while True:
            while items:
                item = items.popleft()
                room.set()
                yield item
            if reading.done():
                break
            changed.clear()
            await changed.wait()
        reading.result()
    finally:
        # By a timer, which asyncio calls after what has come in the same turn: anyio, below, does not expect both in the other order.
        asyncio.get_running_loop().call_later(0, reading.cancel)
        await asyncio.wait({reading})
        if not reading.cancelled():
            # It is raised above, or nobody is left who would want to know.
            reading.exception()


async def output_lines(tree: EmbeddedTree, agent_id: str, stream: str | None, last: int) -> AsyncGenerator[OutputLine, None]:
    """See `ProcessManager.output`."""
    async with tree.alone():
        mirror = await tree.join()
    async with contextlib.aclosing(AgentOutput(mirror, tree.state, agent_id, stream).lines(last)) as lines:
        async for line in lines:
            yield line


async def entries(tree: EmbeddedTree, agent_id: str | None, after: int) -> AsyncGenerator[Entry, None]:
    """Each event with a number above `after`; see `ProcessManager.events`."""
    async with tree.alone():
        mirror = await tree.join(launch=True)
    async with contextlib.aclosing(mirror.entries(after)) as found:
        async for entry in found:
            if agent_id is None or getattr(entry.event, "id", None) == agent_id:
                yield entry
