"""Who is silent: deadlines, lateness and the freeze, on a clock that the test turns."""

import pytest

from suptree.actors.base.messages import Silent, Suspect, Watch
from suptree.actors.heartbeat.liveness import Liveness
from suptree.actors.spec.agent_spec import HeartbeatSpec

SPEC = HeartbeatSpec(interval=1, suspect_after=3, dead_after=5)


def watching(*ids: str, at: float = 0.0) -> Liveness:
    liveness = Liveness()
    for pid, agent_id in enumerate(ids, 100):
        liveness.watch(Watch(agent_id, 1, SPEC, actor_pid=pid), at)
    return liveness


def test_silence_makes_suspect_and_then_dead_once() -> None:
    liveness = watching("a")
    assert 3.0 == liveness.next_deadline()
    assert [Suspect("a", 1, suspect=True, age=3.0)] == liveness.judge(3.0, 3.0)
    assert 5.0 == liveness.next_deadline()
    assert [Silent("a", 1, 5.0, "actor")] == liveness.judge(5.0, 5.0)
    assert liveness.next_deadline() is None
    assert [] == liveness.judge(9.0, 9.0)


def test_a_ping_clears_the_suspicion() -> None:
    liveness = watching("a")
    liveness.judge(3.0, 3.0)
    assert Suspect("a", 1, suspect=False) == liveness.pinged(100, ("a", 1), 3.5)
    assert liveness.pinged(100, ("a", 1), 3.6) is None
    assert [] == liveness.judge(5.0, 5.0)


def test_the_lateness_of_the_one_who_looks_is_nobody_elses() -> None:
    liveness = watching("a")
    assert [] == liveness.judge(now=13.0, scheduled=2.0)
    assert 14.0 == liveness.next_deadline()


def test_when_most_fall_silent_together_no_verdict_is_given() -> None:
    liveness = watching("a", "b", "c", "d", "e")
    for pid, agent_id in ((100, "a"),):
        liveness.pinged(pid, (agent_id, 1), 3.0)
    assert [] == liveness.judge(3.0, 3.0)
    assert liveness.frozen


def test_a_freeze_does_not_last_for_ever() -> None:
    liveness = watching("a", "b", "c", "d")
    assert [] == liveness.judge(3.0, 3.0)
    assert [] == liveness.judge(12.9, 12.9)
    assert ["a", "b", "c", "d"] == [verdict.id for verdict in liveness.judge(13.0, 13.0)]
    assert not liveness.frozen


def test_a_program_that_pings_for_itself_is_judged_apart_from_its_actor() -> None:
    liveness = Liveness()
    liveness.watch(Watch("a", 1, SPEC, actor_pid=1, program_pid=2, watchdog=5.0), 0.0)
    liveness.pinged(1, ("a", 1), 4.9)
    assert [Silent("a", 1, 5.0, "program")] == liveness.judge(5.0, 5.0)


def test_what_is_unwatched_is_forgotten() -> None:
    liveness = watching("a")
    liveness.unwatch(("a", 1))
    assert (0, None, None) == (len(liveness), liveness.owner([100]), liveness.next_deadline())


def test_a_watchdog_of_its_own_length_moves_the_programs_deadlines_alone() -> None:
    liveness = Liveness()
    liveness.watch(Watch("a", 1, SPEC, actor_pid=1, program_pid=2, watchdog=10.0), 0.0)
    liveness.pinged(1, ("a", 1), 4.0)
    assert 7.0 == liveness.next_deadline()
    liveness.pinged(1, ("a", 1), 8.0)
    assert [Suspect("a", 1, suspect=True, age=8.5)] == liveness.judge(8.5, 8.5)
    assert [Silent("a", 1, 10.0, "program")] == liveness.judge(10.0, 10.0)


def test_a_program_that_pings_every_half_of_its_limit_is_never_suspect() -> None:
    liveness = Liveness()
    spec = HeartbeatSpec(suspect_after=5, dead_after=10)
    liveness.watch(Watch("a", 1, spec, actor_pid=1, program_pid=2, watchdog=10.0), 0.0)
    liveness.pinged(1, ("a", 1), 7.0)
    assert 7.5 == liveness.next_deadline()
    assert [] == liveness.judge(7.4, 7.4)
    assert [Suspect("a", 1, suspect=True, age=7.5)] == liveness.judge(7.5, 7.5)


def test_a_program_that_need_not_ping_is_obliged_to_nothing_by_a_ping() -> None:
    liveness = Liveness()
    liveness.watch(Watch("a", 1, SPEC, actor_pid=1, program_pid=2), 0.0)
    liveness.pinged(2, ("a", 1), 1.0)
    liveness.pinged(1, ("a", 1), 5.0)
    assert [] == liveness.judge(6.0, 6.0)


def test_what_starts_is_known_and_owes_no_ping() -> None:
    liveness = Liveness()
    liveness.watch(Watch("a", 1, SPEC, actor_pid=1, starting=True), 0.0)
    assert (("a", 1), None, {}) == (liveness.owner([3, 1]), liveness.next_deadline(), liveness.ages(20.0))
    assert [] == liveness.judge(20.0, 20.0)
    liveness.watch(Watch("a", 1, SPEC, actor_pid=1), 20.0)
    assert 23.0 == liveness.next_deadline()


def test_what_is_said_below_a_supervisor_is_not_said_by_the_supervisor() -> None:
    liveness = Liveness()
    liveness.watch(Watch("group", 1, SPEC, actor_pid=7, alone=True), 0.0)
    assert ("group", 1) == liveness.owner([7, 1])
    # An agent whose Watch is still on its way.
    assert liveness.owner([9, 8, 7, 1]) is None
    liveness.watch(Watch("young", 1, SPEC, actor_pid=8), 0.0)
    assert ("young", 1) == liveness.owner([9, 8, 7, 1])


def test_at_the_socket_of_a_user_only_agents_of_that_user_are_spoken_for() -> None:
    liveness = Liveness()
    liveness.watch(Watch("ours", 1, SPEC, actor_pid=1, program_pid=2), 0.0)
    liveness.watch(Watch("theirs", 1, SPEC, actor_pid=3, program_pid=4, user_id=1000), 0.0)
    assert [None, None, ("theirs", 1)] == [liveness.owner([9, pid], 1000) for pid in (1, 2, 4)]
    assert [("ours", 1), ("ours", 1), ("theirs", 1)] == [liveness.owner([9, pid]) for pid in (1, 2, 4)]
    assert liveness.owner([9, 4], 1001) is None


@pytest.mark.parametrize("limit", [0.05, 0.2, 1.0, 1.3, 2.0, 8.0])
def test_a_program_that_is_late_in_turns_is_reported_no_more_than_twice_a_second(limit: float) -> None:
    """It chooses its limit itself (WATCHDOG_USEC=)."""
    liveness = Liveness()
    liveness.watch(Watch("a", 1, SPEC, actor_pid=1, program_pid=2, watchdog=limit), 0.0)
    now, next_ping, seconds, reports = 0.0, 0.97 * limit, 30.0, 0
    while now < seconds:
        # A moment after the deadline: sums of floats are not exact.
        now = min(next_ping, (liveness.next_deadline() or next_ping) + 1e-6)
        liveness.pinged(1, ("a", 1), now)
        if now == next_ping:
            reports += liveness.pinged(2, ("a", 1), now) is not None
            next_ping = now + 0.97 * limit
        else:
            verdicts = liveness.judge(now, now)
            assert not any(isinstance(verdict, Silent) for verdict in verdicts)
            reports += len(verdicts)
    assert reports <= 2 * (seconds / max(0.97 * limit, 1.0) + 1)
