"""The loop that an actor steps: whatever it has not done when a step ends makes its descriptor readable, now or when it is due."""

import select
import time
from collections.abc import Iterator

import pytest

from suptree.actors.base.stepped_loop import SteppedLoop

MANY = 20_000


@pytest.fixture
def loop() -> Iterator[SteppedLoop]:
    loop = SteppedLoop()
    yield loop
    loop.close()


def is_readable(loop: SteppedLoop) -> bool:
    return bool(select.select([loop], [], [], 0)[0])


def test_a_step_that_is_interrupted_asks_to_be_continued(loop: SteppedLoop) -> None:
    done = 0

    def again() -> None:
        nonlocal done
        done += 1
        if done < MANY:
            # The loop finds its own wake-up in every round.
            loop.call_soon_threadsafe(again)

    loop.call_soon(again)
    steps = 0
    while done < MANY:
        assert steps == 0 or is_readable(loop), f"stuck after {done}"
        loop.step()
        steps += 1
    assert steps > 1


def test_an_idle_loop_is_readable_when_its_next_timer_is_due_and_not_before(loop: SteppedLoop) -> None:
    fired: list[float] = []
    due = time.monotonic() + 0.1
    loop.call_at(due, lambda: fired.append(time.monotonic()))
    loop.call_later(50, print)
    loop.step()
    assert not fired
    assert select.select([loop], [], [], 10)[0]
    loop.step()
    assert fired[0] >= due
    assert not is_readable(loop)


def test_a_timer_that_is_cancelled_wakes_nobody(loop: SteppedLoop) -> None:
    timer = loop.call_later(0.05, print)
    loop.step()
    loop.call_soon_threadsafe(timer.cancel)
    loop.step()
    assert not select.select([loop], [], [], 0.1)[0]


def test_without_timers_only_events_make_it_readable(loop: SteppedLoop) -> None:
    loop.step()
    assert not is_readable(loop)
    loop.call_soon_threadsafe(lambda: None)
    assert is_readable(loop)


def test_a_step_that_somebody_ends_early_is_continued(loop: SteppedLoop) -> None:
    done: list[str] = []

    def first() -> None:
        loop.call_soon(done.append, "second")
        loop.stop()

    loop.call_soon(first)
    loop.step()
    assert not done
    assert is_readable(loop)
    loop.step()
    assert ["second"] == done


def test_a_step_that_never_comes_to_an_end_is_interrupted(loop: SteppedLoop) -> None:
    def for_ever() -> None:
        loop.call_soon(for_ever)

    loop.call_soon(for_ever)
    began = time.monotonic()
    loop.step()
    assert is_readable(loop)
    assert time.monotonic() - began < 10
