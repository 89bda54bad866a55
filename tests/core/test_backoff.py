"""Delays between restarts: how long, when they are forgotten, and who waits with whom."""

from itertools import islice
from typing import Any

from suptree.actors.exits import ExitClass
from suptree.supervisors.decisions.backoff import delay_before, steps
from suptree.supervisors.decisions.core_commands import Report, SetTimer
from suptree.supervisors.decisions.core_events import ChildCondemned, ShutdownRequested
from suptree.supervisors.decisions.spread import EvenSpread
from suptree.supervisors.spec.child_spec import Backoff, ChildSpec, OnLimit, RestartType, Strategy

from .driver import CRASH, FAILED, STOPPED, TRANSIENT, Driver, high, specs

# A supervisor that never gives up first: the delays up to the cap fit into its period.
PATIENT: dict[str, Any] = {"max_restarts": 12, "within": 1000.0}


def low(low: float, _high: float) -> float:
    return low


def test_the_default_delays_are_0_1_2_4_up_to_60_seconds() -> None:
    assert [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] == list(islice(steps(Backoff()), 9))
    assert [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] == [delay_before(n, Backoff(), high) for n in range(1, 10)]


def test_jitter_takes_up_to_half_of_a_delay_away() -> None:
    assert [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0] == [delay_before(n, Backoff(), low) for n in range(1, 9)]


def test_without_a_backoff_nothing_waits() -> None:
    assert 0.0 == delay_before(9, None, high)


def test_a_delay_after_very_many_restarts_is_the_cap() -> None:
    assert 60.0 == delay_before(5000, Backoff(), high)


def test_a_delay_is_doubled_64_times_at_most() -> None:
    backoff = Backoff(cap=1e300)
    assert [2.0**63, 2.0**64, 2.0**64, 2.0**64] == [delay_before(n, backoff, high) for n in (65, 66, 67, 5000)]
    assert [60.0] == list(islice(steps(Backoff()), 5000, 5001))


def test_a_crash_loop_starts_at_the_documented_times() -> None:
    driver = Driver(specs("a", backoff=Backoff()), **PATIENT)
    at = []
    for _ in range(9):
        begun = driver.now
        driver.exits("a")
        while driver.states()["a"] != "running" and driver.now < begun + 100:
            driver.pass_time(0.5)
        at.append(driver.now - begun)
    assert [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] == at
    assert 9 == driver.core.child("a").restarts


def test_a_restart_that_waits_is_reported_with_its_delay_and_shown() -> None:
    driver = Driver(specs("a", backoff=Backoff()), **PATIENT)
    driver.exits("a")
    driver.now = 10.0
    assert ["report a restart", "set resume a 1"] == driver.exits("a")
    assert isinstance(driver.commands[0], Report)
    assert 1.0 == driver.commands[0].delay
    child = driver.core.child("a")
    assert ("backing_off", 11.0, "crash (SIGSEGV)") == (child.state.value, child.until, child.detail)
    assert ["start a3"] == driver.pass_time(1.0)
    child = driver.core.child("a")
    assert ("running", None, "") == (child.state.value, child.until, child.detail)


def test_a_minute_of_health_is_forgiving() -> None:
    driver = Driver(specs("a", backoff=Backoff()), **PATIENT)
    driver.exits("a")
    driver.exits("a")
    driver.pass_time(1 + 59.9)
    assert "set resume a 2" == driver.exits("a")[1]
    driver.pass_time(2 + 60)
    assert ["report a restart", "start a5"] == driver.exits("a")
    assert 4 == driver.core.child("a").restarts
    assert "set resume a 1" == driver.exits("a")[1]


def test_a_failed_restart_waits_too() -> None:
    driver = Driver(specs("a", backoff=Backoff()), **PATIENT)
    driver.auto = False
    driver.exits("a")
    assert ["report a restart", "set resume a 1"] == driver.start_fails("a")
    driver.pass_time(1.0)
    assert ["report a restart", "set resume a 2"] == driver.start_fails("a")


def test_a_restart_is_counted_when_it_is_decided() -> None:
    driver = Driver(specs("a", backoff=Backoff()), max_restarts=2, within=60.0)
    driver.exits("a")
    driver.exits("a")
    assert 2 == driver.core.restarts_in_window(0)
    driver.pass_time(1.0)
    assert ["report a escalate", "exit shutdown"] == driver.exits("a")


def test_a_stop_cancels_a_backoff() -> None:
    driver = Driver(specs("a", backoff=Backoff()), **PATIENT)
    driver.exits("a")
    driver.exits("a")
    assert ["cancel resume a", "reply t ok"] == driver.terminate("a")
    assert {"a": "down"} == driver.states()
    assert None is driver.core.child("a").until
    assert [] == driver.pass_time(1000)


def test_a_backoff_is_cancelled_immediately_even_in_the_middle_of_something_else() -> None:
    driver = Driver([*specs("a", backoff=Backoff()), *specs("b")], **PATIENT)
    driver.exits("a")
    driver.exits("a")
    driver.auto = False
    driver.terminate("b", "tb")
    assert ["cancel resume a", "reply ta ok"] == driver.terminate("a", "ta")


def test_a_backoff_that_ends_in_the_middle_of_something_else_waits_for_that() -> None:
    driver = Driver([*specs("a", backoff=Backoff()), *specs("b")], **PATIENT)
    driver.exits("a")
    driver.exits("a")
    driver.auto = False
    driver.terminate("b", "tb")
    assert [] == driver.pass_time(1.0)
    assert ["cancel kill b", "reply tb ok", "start a3"] == driver.exits("b", STOPPED)


def test_a_backoff_that_is_over_can_still_be_cancelled_before_its_turn() -> None:
    driver = Driver([*specs("a", backoff=Backoff()), *specs("b")], **PATIENT)
    driver.exits("a")
    driver.exits("a")
    driver.auto = False
    driver.terminate("b", "tb")
    driver.pass_time(1.0)
    assert ["reply ta ok"] == driver.terminate("a", "ta")
    assert ["cancel kill b", "reply tb ok"] == driver.exits("b", STOPPED)


def test_a_shutdown_cancels_a_backoff() -> None:
    driver = Driver(specs("a", backoff=Backoff()), **PATIENT)
    driver.exits("a")
    driver.exits("a")
    assert ["cancel resume a", "exit shutdown"] == driver.feed(ShutdownRequested())
    assert {"a": "down"} == driver.states()
    assert [] == driver.pass_time(1000)


# ---- in a group -------------------------------------------------------------------------------------


def group(strategy: Strategy) -> Driver:
    """The middle one of three waits, after two crashes in the same moment."""
    driver = Driver(specs("abc", backoff=Backoff()), strategy=strategy, **PATIENT)
    driver.exits("b")
    driver.given = driver.exits("b")  # type: ignore[attr-defined]
    return driver


def test_in_a_group_the_siblings_are_stopped_immediately_and_one_timer_serves_all() -> None:
    driver = group(Strategy.ONE_FOR_ALL)
    given = [w for w in driver.given if "kill" not in w]  # type: ignore[attr-defined]
    assert ["report b restart", "set resume b 1", "stop c2", "stop a2"] == given
    assert ["b", None, "b"] == [child.waits_for for child in driver.core.children()]
    assert ["start a3", "start b3", "start c3"] == driver.pass_time(1.0)
    assert {None} == {child.waits_for for child in driver.core.children()}


def test_in_rest_for_one_only_those_started_later_wait() -> None:
    driver = group(Strategy.REST_FOR_ONE)
    assert {"a": "running", "b": "backing_off", "c": "down"} == driver.states()
    assert ["start b3", "start c3"] == driver.pass_time(1.0)


def test_if_the_one_that_backs_off_is_terminated_those_that_wait_for_it_start_without_it() -> None:
    driver = group(Strategy.ONE_FOR_ALL)
    assert ["cancel resume b", "reply t ok", "start a3", "start c3"] == driver.terminate("b")
    assert {"a": "running", "b": "down", "c": "running"} == driver.states()
    assert [2, 1, 2] == [child.restarts for child in driver.core.children()]


def test_if_the_one_that_backs_off_is_terminated_while_the_others_are_being_stopped_they_start_after_that() -> None:
    driver = Driver(specs("abc", backoff=Backoff()), strategy=Strategy.ONE_FOR_ALL, **PATIENT)
    driver.exits("b")
    driver.auto = False
    driver.exits("b")
    assert ["cancel resume b", "reply t ok"] == driver.terminate("b")
    driver.exits("c", STOPPED)
    assert ["cancel kill a", "start a3"] == driver.exits("a", STOPPED)
    assert ["start c3"] == driver.started("a")


def test_one_that_waits_can_be_started_by_hand_and_then_waits_no_more() -> None:
    driver = group(Strategy.ONE_FOR_ALL)
    assert ["start c3", "reply r ok"] == driver.restart("c")
    assert ["b", None, None] == [child.waits_for for child in driver.core.children()]


def test_one_that_waits_and_is_terminated_waits_no_more() -> None:
    driver = group(Strategy.ONE_FOR_ALL)
    assert ["reply t ok"] == driver.terminate("c")
    assert ["cancel resume b", "reply t ok", "start a3"] == driver.terminate("b")


def test_one_that_is_terminated_while_it_is_stopped_for_a_backoff_does_not_wait() -> None:
    driver = Driver(specs("ab", backoff=Backoff()), strategy=Strategy.ONE_FOR_ALL, **PATIENT)
    driver.exits("a")
    driver.auto = False
    driver.exits("a")
    assert ["stop b2"] == driver.terminate("b", "tb")
    assert ["cancel kill b", "reply tb ok"] == driver.exits("b", STOPPED)
    assert None is driver.core.child("b").waits_for
    assert ["cancel resume a", "reply ta ok"] == driver.terminate("a", "ta")


def test_a_group_restart_takes_over_the_backoff_of_a_sibling() -> None:
    driver = group(Strategy.REST_FOR_ONE)
    assert ["report a restart", "cancel resume b", "start a2", "start b3", "start c3"] == driver.exits("a")
    assert [] == driver.pass_time(1000)


def test_a_terminate_request_for_a_sibling_that_a_group_restart_is_about_to_take_over_waits_for_that() -> None:
    driver = group(Strategy.REST_FOR_ONE)
    driver.restart("c")
    driver.auto = False
    driver.exits("a")
    assert [] == driver.terminate("b")
    driver.exits("c", STOPPED)
    driver.started("a")
    driver.started("b")
    assert ["stop b3", "set kill b 5"] == driver.started("c")


def test_the_rest_waits_for_the_one_whose_restart_failed() -> None:
    driver = Driver(specs("abc", backoff=Backoff()), strategy=Strategy.REST_FOR_ONE, **PATIENT)
    driver.auto = False
    driver.exits("a")
    driver.exits("c", STOPPED)
    driver.exits("b", STOPPED)
    driver.started("a")
    assert ["report b restart", "start b3"] == driver.start_fails("b")
    assert ["report b restart", "set resume b 1"] == driver.start_fails("b")
    assert [None, None, "b"] == [child.waits_for for child in driver.core.children()]
    assert ["cancel resume b", "reply t ok", "start c2"] == driver.terminate("b")


def test_a_quarantine_after_a_failed_restart_releases_those_that_wait() -> None:
    driver = Driver(specs("ab"), strategy=Strategy.ONE_FOR_ALL, on_limit=OnLimit.QUARANTINE)
    driver.auto = False
    driver.exits("a")
    driver.exits("b", STOPPED)
    assert ["report a quarantine", "start b2"] == driver.start_fails("a")
    driver.started("b")
    assert {"a": "quarantined", "b": "running"} == driver.states()


def test_a_first_start_that_is_tried_again_holds_up_the_rest_of_its_group() -> None:
    driver = Driver(specs("abc", hold=True), strategy=Strategy.REST_FOR_ONE, max_restarts=3, auto=False)
    driver.started("a")
    assert ["report b restart", "start b2"] == driver.start_fails("b")
    assert ["start c1"] == driver.started("b")
    driver.started("c")
    assert [0, 1, 0] == [child.restarts for child in driver.core.children()]


def test_a_temporary_child_whose_first_start_was_held_up_and_then_fails_is_forgotten() -> None:
    late = ChildSpec(id="t", restart=RestartType.TEMPORARY)
    driver = Driver([*specs("a", hold=True), late, *specs("b")], strategy=Strategy.REST_FOR_ONE, max_restarts=3, auto=False)
    driver.start_fails("a")
    driver.started("a")
    assert ["report t leave", "start b1"] == driver.start_fails("t")
    assert ["a", "b"] == list(driver.states())


# ---- jitter -----------------------------------------------------------------------------------------


def test_without_randomness_of_ones_own_the_jitter_is_spread_evenly_and_the_same_in_every_run() -> None:
    one, two = EvenSpread(), EvenSpread()
    numbers = [one(10.0, 20.0) for _ in range(100)]
    assert numbers == [two(10.0, 20.0) for _ in range(100)]
    assert all(10.0 <= number < 20.0 for number in numbers)
    assert all(0.05 < b - a < 0.2 for a, b in zip(sorted(numbers), sorted(numbers)[1:], strict=False))


def test_the_spread_follows_the_multiples_of_the_golden_ratio() -> None:
    spread = EvenSpread()
    assert [turn * 0.6180339887498949 % 1 for turn in range(1, 101)] == [spread(0.0, 1.0) for _ in range(100)]


def test_a_core_without_randomness_uses_the_even_spread() -> None:
    driver = Driver(specs("a", backoff=Backoff()), uniform=None, **PATIENT)
    driver.exits("a")
    driver.exits("a", CRASH)
    timer = next(c for c in driver.commands if isinstance(c, SetTimer))
    assert EvenSpread()(0.5, 1.0) == timer.delay


def test_a_hang_in_a_long_life_is_forgiven_as_well() -> None:
    driver = Driver(specs("a", backoff=Backoff(), restart=TRANSIENT), **PATIENT)
    driver.exits("a", FAILED)
    driver.exits("a", FAILED)
    driver.pass_time(61)
    assert "start a4" == driver.feed(ChildCondemned("a", 3, ExitClass.HUNG, "silent"))[-1]
