"""What a program wants to be called with: its callbacks, one queue each, so that none holds up another."""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from suptree.actors.events.entry import Entry

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""How many values wait for one callback; of more the oldest are left out, and that is logged."""

FINISH = 5.0
"""How many seconds the end of a tree waits for callbacks that have not heard of it yet."""

Value = TypeVar("Value")
Callback = Callable[[Value], Awaitable[object] | object]


class Callbacks:
    """Calls each callback in the event loop of the manager, with one value after the other in the order of the events.

    A callback that raises is logged, and is called again for the next value. One that waits holds up its own next call alone.
    """

    def __init__(self) -> None:
        self._queues: list[_Queue[Any]] = []
        self._finishing: set[_Queue[Any]] = set()

    def add(self, select: Callable[[Entry], Value | None], callback: Callback[Value]) -> Callable[[], None]:
        """Call `callback` with whatever `select` makes of an event, unless that is None; return what ends that. Raises TypeError."""
        if not callable(callback):
            raise TypeError(f"callback must be a function, plain or coroutine, that takes one argument, not {callback!r}")
        queue = _Queue(select, callback)
        self._queues.append(queue)

        def remove() -> None:
            if queue in self._queues:
                self._queues.remove(queue)
            queue.drop()

        return remove

    def hear(self, entry: Entry) -> None:
        """Take in one event."""
        # A copy: another thread may take a callback away, and then the one after it would be passed over.
        for queue in tuple(self._queues):
            queue.hear(entry)

    async def finish(self) -> None:
        """Return when every callback has been called with every event so far; one that is not done in 5 s is logged, and goes on.

        A callback may call this: neither that callback is waited for, nor another one that waits in here.
        """
        caller = _caller.get()
        if caller is not None:
            self._finishing.add(caller)
        try:
            tasks = {queue.task: queue for queue in tuple(self._queues) if queue.task is not None and queue not in self._finishing}
            if tasks:
                _, late = await asyncio.wait(tasks, timeout=FINISH)
                for task in late:
                    log.warning("the end does not wait for callback %r, which is not done after %g s", tasks[task].callback, FINISH)
        finally:
            if caller is not None:
                self._finishing.discard(caller)


class _Queue(Generic[Value]):
    """The values that wait for one callback, and the task that calls it while there are any."""

    def __init__(self, select: Callable[[Entry], Value | None], callback: Callback[Value]) -> None:
        self._select = select
        self.callback = callback
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
        if self.task is None:
            self._task = asyncio.create_task(self._call())

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that calls now, if there is one: that of an event loop that has ended has ended with it."""
        task = self._task
        return None if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop() else task

    def drop(self) -> None:
        self._waiting.clear()

    async def _call(self) -> None:
        _caller.set(self)
        while self._waiting:
            if self._left_out:
                log.warning("%d values were left out: %r is too slow", self._left_out, self.callback)
                self._left_out = 0
            value = self._waiting.popleft()
            try:
                result = self.callback(value)
                if inspect.isawaitable(result):
                    await result
            except (Exception, asyncio.CancelledError):
                # It may have awaited something that was cancelled; when this task itself is, its event loop ends.
                if _is_cancelled():
                    raise
                log.exception("callback %r failed", self.callback)


_caller: ContextVar[_Queue[Any] | None] = ContextVar("the queue whose callback runs", default=None)


def is_callback() -> bool:
    """Whether the code that asks was called by a callback, also in a task that the callback made."""
    return _caller.get() is not None


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
