"""The deadlines of an incarnation, and what puts them off."""

import asyncio
import gc
import math
import weakref

import pytest

from suptree.actors.base.deadlines import Deadlines


def missed_after(seconds: float, *extensions: float, before: float | None = None, at_most: float = math.inf) -> float:
    """After how many seconds a deadline is missed; `before` it is set, and after, more time is asked for."""

    async def run() -> float:
        loop = asyncio.get_running_loop()
        deadlines, missed = Deadlines(loop, at_most), asyncio.Event()
        begun = loop.time()
        if before is not None:
            deadlines.extend(before)
        deadlines.set(seconds, missed.set)
        for extension in extensions:
            deadlines.extend(extension)
        async with asyncio.timeout(10):
            await missed.wait()
        return loop.time() - begun

    return asyncio.run(run())


def test_a_deadline_is_missed_at_its_time_and_not_before() -> None:
    assert 0.2 <= missed_after(0.2)


def test_more_time_puts_it_off() -> None:
    assert 0.6 <= missed_after(0.1, 0.6)


def test_less_time_than_it_has_does_not_bring_it_forward() -> None:
    assert 0.6 <= missed_after(0.6, 0.1)


def test_a_deadline_that_is_set_later_is_put_off_too() -> None:
    assert 0.6 <= missed_after(0.1, before=0.6)


def test_a_later_word_replaces_an_earlier_one() -> None:
    assert 0.3 <= missed_after(0.1, 600.0, 0.3) < 9


@pytest.mark.parametrize("asked", [18446744073709.551615, 1e308, 600.0])
@pytest.mark.parametrize("when", ["before", "after", "again and again"])
def test_however_much_more_is_asked_for_it_comes_at_most_so_much_later(asked: float, when: str) -> None:
    extensions = {"before": (), "after": (asked,), "again and again": (asked,) * 100}[when]
    assert 0.3 <= missed_after(0.1, *extensions, before=asked if when == "before" else None, at_most=0.2) < 5


def test_where_nothing_more_is_allowed_it_comes_at_its_time() -> None:
    assert 0.1 <= missed_after(0.1, 600.0, at_most=0.0) < 5


def test_a_deadline_that_was_cancelled_or_missed_is_not_extended() -> None:
    async def run() -> list[str]:
        missed: list[str] = []
        deadlines = Deadlines(asyncio.get_running_loop())
        over, last = asyncio.Event(), asyncio.Event()

        def is_over() -> None:
            missed.append("once")
            over.set()

        cancelled = deadlines.set(0.05, lambda: missed.append("cancelled"))
        deadlines.set(0.01, is_over)
        cancelled.cancel()
        await over.wait()
        deadlines.extend(0.1)
        deadlines.set(0.2, last.set)
        await last.wait()
        return missed

    assert ["once"] == asyncio.run(run())


class Child:
    """Holds its deadlines, which call it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.deadlines = Deadlines(loop)
        self.deadline = self.deadlines.set(600, self.is_late)

    def is_late(self) -> None:
        """Never: the deadline is far."""


def test_a_child_whose_deadline_was_cancelled_goes_without_the_garbage_collector() -> None:
    async def run() -> bool:
        child = Child(asyncio.get_running_loop())
        child.deadline.cancel()
        seen = weakref.ref(child)
        del child
        # The loop drops a timer that was cancelled when it looks at its timers next.
        await asyncio.sleep(0)
        return seen() is None

    gc.disable()
    try:
        assert asyncio.run(run())
    finally:
        gc.enable()
