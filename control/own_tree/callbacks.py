"""What a program wants to be called with: its callbacks, one queue each, so that none holds up another."""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from suptree.actors.events.entry import Entry

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""How many values wait for one callback; of more the oldest are left out, and that is logged."""

Value = TypeVar("Value")
Callback = Callable[[Value], Awaitable[object] | object]


class Callbacks:
    """Calls each callback in the event loop of the manager, with one value after the other in the order of the events.

    A callback that raises is logged, and is called again for the next value. One that waits holds up its own next call alone.
    """

    def __init__(self) -> None:
        self._queues: list[_Queue[Any]] = []

    def add(self, select: Callable[[Entry], Value | None], callback: Callback[Value]) -> Callable[[], None]:
        """Call `callback` with whatever `select` makes of an event, unless that is None; return what ends that."""
        queue = _Queue(select, callback)
        self._queues.append(queue)

        def remove() -> None:
            if queue in self._queues:
                self._queues.remove(queue)
            queue.drop()

        return remove

    def hear(self, entry: Entry) -> None:
        """Take in one event."""
        for queue in self._queues:
            queue.hear(entry)


class _Queue(Generic[Value]):
    """The values that wait for one callback, and the task that calls it while there are any."""

    def __init__(self, select: Callable[[Entry], Value | None], callback: Callback[Value]) -> None:
        self._select = select
        self._callback = callback
        self._waiting: deque[Value] = deque()
        self._left_out = 0
        self._task: asyncio.Task[None] | None = None

    def hear(self, entry: Entry) -> None:
        if (value := self._select(entry)) is None:
            return
        if len(self._waiting) == MOST_WAITING:
            self._waiting.popleft()
            self._left_out += 1
        self._waiting.append(value)
        loop = asyncio.get_running_loop()
        # The task of an event loop that has ended has ended with it.
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._call())

    def drop(self) -> None:
        self._waiting.clear()

    async def _call(self) -> None:
        while self._waiting:
            if self._left_out:
                log.warning("%d values were left out: %r is too slow", self._left_out, self._callback)
                self._left_out = 0
            value = self._waiting.popleft()
            try:
                result = self._callback(value)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                log.exception("callback %r failed", self._callback)
