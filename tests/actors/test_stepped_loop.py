"""The loop that an actor steps: whatever it has not done when a step ends makes its descriptor readable, or has a time."""

import select
import time
from collections.abc import Iterator

import pytest

from suptree.actors.stepped_loop import SteppedLoop

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


def test_a_step_of_an_idle_loop_says_when_the_next_timer_is_due(loop: SteppedLoop) -> None:
    loop.call_later(50, print)
    slept = loop.step()
    assert slept is not None
    assert 49 < slept <= 50
    assert not is_readable(loop)


def test_without_timers_there_is_only_the_descriptor_to_wait_for(loop: SteppedLoop) -> None:
    assert loop.step() is None


def test_a_step_that_never_comes_to_an_end_is_interrupted(loop: SteppedLoop) -> None:
    def for_ever() -> None:
        loop.call_soon(for_ever)

    loop.call_soon(for_ever)
    began = time.monotonic()
    loop.step()
    assert is_readable(loop)
    assert time.monotonic() - began < 10
