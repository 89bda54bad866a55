"""How the launcher hears what the other processes refuse."""

import os
from collections import Counter

import pytest

from suptree.control.seal import refused_frame_counter as refused_frames
from suptree.control.seal.refused_frame_counter import RefusedFrames, reports, telling_pair


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(refused_frames, "time", clock)
    return clock


def test_the_first_is_reported_immediately_and_the_others_once_a_second(clock: Clock) -> None:
    hears, tells = telling_pair()
    with hears, tells:
        refused = RefusedFrames(tells)
        assert (None, []) == (refused.tell(), list(reports(hears)))
        refused.count("forged")
        assert (None, [(os.getpid(), {"forged": 1})]) == (refused.tell(), list(reports(hears)))
        for _ in range(1000):
            refused.count("unsealed")
        clock.now += 0.25
        assert (0.75, []) == (refused.tell(), list(reports(hears)))
        refused.count("forged")
        clock.now += 0.75
        assert (None, [(os.getpid(), {"unsealed": 1000, "forged": 1})]) == (refused.tell(), list(reports(hears)))
        assert (None, []) == (refused.tell(), list(reports(hears)))


def test_what_a_busy_launcher_does_not_hear_is_reported_again(clock: Clock) -> None:
    hears, tells = telling_pair()
    with hears, tells:
        refused = RefusedFrames(tells)
        counted = 0
        # Until there is no room for another.
        while (wait := refused.tell()) is None:
            refused.count("unsealed")
            counted += 1
            clock.now += 1
        assert 1.0 == wait
        heard = sum((Counter(counts) for _pid, counts in reports(hears)), Counter())
        clock.now += 1
        assert None is refused.tell()
        heard += sum((Counter(counts) for _pid, counts in reports(hears)), Counter())
        assert Counter(unsealed=counted) == heard


def test_a_launcher_that_is_gone_disturbs_nobody(clock: Clock) -> None:
    hears, tells = telling_pair()
    hears.close()
    with tells:
        refused = RefusedFrames(tells)
        refused.count("unsealed")
        assert 1.0 == refused.tell()
