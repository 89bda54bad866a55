"""Whose turn it is to be sent, with Thespian's own intents; when each is done, the test decides."""

import time
from typing import Any

from thespian.system.transport import SendStatus, TransmitIntent

from suptree.control.seal.send_turns import SendTurns


def intents(to: str, count: int) -> list[TransmitIntent]:
    return [TransmitIntent(to, f"{to} {number}") for number in range(count)]


def take_all(turns: SendTurns, *lists: list[TransmitIntent]) -> None:
    for each in (intent for several in lists for intent in several):
        turns.take(each.targetAddr, each)


def test_each_receiver_has_one_under_way_and_a_silent_one_holds_up_no_other() -> None:
    under_way: list[Any] = []
    turns = SendTurns(under_way.append)
    silent, lively = intents("silent", 1000), intents("lively", 3)
    take_all(turns, silent, lively)
    for number in range(3):
        assert [silent[0], *lively[: number + 1]] == under_way
        lively[number].tx_done(SendStatus.Sent)
    for each in silent:
        assert under_way[-1] is each or under_way[0] is each
        each.tx_done(SendStatus.Sent)
    assert [silent[0], *lively, *silent[1:]] == under_way


def test_what_waits_for_a_receiver_that_is_dead_fails_immediately_and_what_expired_is_left_out() -> None:
    under_way: list[Any] = []
    turns = SendTurns(under_way.append)
    dead = intents("dead", 1000)
    take_all(turns, dead)
    dead[0].tx_done(SendStatus.DeadTarget)
    assert [dead[0]] == under_way
    assert {SendStatus.DeadTarget} == {each.result for each in dead}
    late = intents("late", 4)
    for each in late[1:3]:
        each._quitTime = TransmitIntent("", "", maxPeriod=-1)._quitTime
    take_all(turns, late)
    late[0].tx_done(SendStatus.Failed)
    assert [dead[0], late[0], late[3]] == under_way
    assert [SendStatus.Failed] * 3 + [None] == [each.result for each in late]


def test_a_receiver_is_behind_when_it_has_not_acknowledged_for_a_second(monkeypatch: Any) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    turns = SendTurns(lambda _intent: None)
    first, second = intents("one", 2)
    take_all(turns, [first, second])
    seen = []
    for now, done in ((100.9, None), (101.1, None), (101.2, first), (102.1, None), (102.3, None), (102.4, second), (200.0, None)):
        clock[0] = now
        if done is not None:
            done.tx_done(SendStatus.Sent)
        seen.append(turns.is_behind("one"))
    assert [False, True, False, False, True, False, False] == seen


def test_after_the_end_nothing_is_sent() -> None:
    under_way: list[Any] = []
    turns = SendTurns(under_way.append)
    first, second = intents("one", 2)
    take_all(turns, [first, second])
    turns.close()
    first.tx_done(SendStatus.Failed)
    assert [first] == under_way
