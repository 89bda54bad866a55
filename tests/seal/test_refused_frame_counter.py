"""How the launcher hears what the other processes refuse."""

import os
from collections import Counter

import pytest

from suptree.control.seal import refused_frame_counter
from suptree.control.seal.refused_frame_counter import RefusedFrameCounter, reporting_pair, reports


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(refused_frame_counter, "time", clock)
    return clock


def test_the_first_is_reported_immediately_and_the_others_once_a_second(clock: Clock) -> None:
    receiving, sending = reporting_pair()
    with receiving, sending:
        refused = RefusedFrameCounter(sending)
        assert (None, []) == (refused.report(), list(reports(receiving)))
        refused.count("forged")
        assert (None, [(os.getpid(), {"forged": 1})]) == (refused.report(), list(reports(receiving)))
        for _ in range(1000):
            refused.count("unsealed")
        clock.now += 0.25
        assert (0.75, []) == (refused.report(), list(reports(receiving)))
        refused.count("forged")
        clock.now += 0.75
        assert (None, [(os.getpid(), {"unsealed": 1000, "forged": 1})]) == (refused.report(), list(reports(receiving)))
        assert (None, []) == (refused.report(), list(reports(receiving)))


def test_what_a_busy_launcher_does_not_hear_is_reported_again(clock: Clock) -> None:
    receiving, sending = reporting_pair()
    with receiving, sending:
        refused = RefusedFrameCounter(sending)
        counted = 0
        # Until there is no room for another.
        while (wait := refused.report()) is None:
            refused.count("unsealed")
            counted += 1
            clock.now += 1
        assert 1.0 == wait
        heard = sum((Counter(counts) for _pid, counts in reports(receiving)), Counter())
        clock.now += 1
        assert None is refused.report()
        heard += sum((Counter(counts) for _pid, counts in reports(receiving)), Counter())
        assert Counter(unsealed=counted) == heard


def test_a_launcher_that_is_gone_disturbs_nobody(clock: Clock) -> None:
    receiving, sending = reporting_pair()
    receiving.close()
    with sending:
        refused = RefusedFrameCounter(sending)
        refused.count("unsealed")
        assert 1.0 == refused.report()
