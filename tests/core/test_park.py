"""Quotas: one waits, its group waits, it costs nothing, and they do not all come back together."""

import random
from collections.abc import Iterable

import pytest

from suptree.actors.exits import Exit, ExitClass
from suptree.supervisors.decisions.core_commands import ParkQuotaGroup, Report
from suptree.supervisors.decisions.core_events import QuotaGroupParked, ShutdownRequested
from suptree.supervisors.decisions.park import delay_until_resume, wait_for_quota
from suptree.supervisors.spec.child_spec import Backoff, ChildSpec, Strategy

from .driver import CRASH, FAILED, QUOTA, STOPPED, TEMPORARY, Driver, high, specs

FOUR_SECONDS = Exit(ExitClass.QUOTA, "429", retry_after=4.0)


def quiet(driver: Driver, given: list[str]) -> list[str]:
    return [word for word in given if "kill" not in word]


@pytest.mark.parametrize(
    ("retry_after", "shortest", "longest"),
    [(None, 60.0, 75.0), (0.0, 1.0, 2.0), (-5.0, 1.0, 2.0), (2.0, 2.0, 3.0), (4.0, 4.0, 5.0), (400.0, 400.0, 500.0)],
)
def test_a_park_waits_as_long_as_asked_and_up_to_a_quarter_more(retry_after: float | None, shortest: float, longest: float) -> None:
    assert shortest == wait_for_quota(retry_after)
    assert shortest == delay_until_resume(retry_after, lambda low, _high: low)
    assert longest == delay_until_resume(retry_after, high)


def test_a_quota_exit_parks_and_costs_no_restart() -> None:
    driver = Driver(specs("a", park=True), max_restarts=0)
    assert ["report a park", "set resume a 5"] == driver.exits("a", FOUR_SECONDS)
    assert Report("a", 1, driver.report().decision, "it ran into a quota: 429", 5.0, ("a",), 0) == driver.report()
    child = driver.core.child("a")
    assert ("parked", 5.0, "it ran into a quota: 429") == (child.state.value, child.until, child.detail)
    assert ["start a2"] == driver.pass_time(5)
    assert (0, 0) == (driver.core.child("a").restarts, driver.core.restarts_in_window(5))


def test_without_park_a_quota_exit_is_like_any_other() -> None:
    driver = Driver(specs("a"))
    assert ["report a restart", "start a2"] == driver.exits("a", QUOTA)


def test_with_park_only_a_quota_exit_parks() -> None:
    driver = Driver(specs("a", park=True))
    assert ["report a restart", "start a2"] == driver.exits("a", FAILED)


def test_a_failed_start_can_park() -> None:
    driver = Driver([*specs("a", park=True), *specs("b")], auto=False)
    assert ["report a park", "set resume a 75", "start b1"] == driver.start_fails("a", QUOTA)


def test_a_failed_start_that_parks_holds_up_the_rest_of_its_group() -> None:
    driver = Driver([*specs("a"), *specs("b", park=True), *specs("c")], strategy=Strategy.REST_FOR_ONE, auto=False)
    driver.started("a")
    assert ["report b park", "set resume b 75"] == driver.start_fails("b", QUOTA)
    assert {"a": "running", "b": "parked", "c": "down"} == driver.states()
    assert "b" == driver.core.child("c").waits_for
    assert ["start b2"] == driver.pass_time(75)
    assert ["start c1"] == driver.started("b")


def test_a_person_can_start_a_parked_child_before_its_time() -> None:
    driver = Driver(specs("ab", park=True, quota_group="g"))
    driver.exits("a", QUOTA)
    assert {"a": "parked", "b": "parked"} == driver.states()
    assert ["cancel resume a", "start a2", "reply r ok"] == driver.restart("a")
    assert {"a": "running", "b": "parked"} == driver.states()
    assert (None, 0) == (driver.core.child("a").until, driver.core.child("a").restarts)
    assert ["start b2"] == driver.pass_time(1000)


def test_those_that_wait_for_a_parked_child_follow_it_when_a_person_starts_it() -> None:
    driver = Driver([*specs("a", park=True), *specs("bc")], strategy=Strategy.REST_FOR_ONE)
    driver.exits("a", QUOTA)
    assert {"a": "parked", "b": "down", "c": "down"} == driver.states()
    assert ["cancel resume a", "start a2", "reply r ok", "start b2", "start c2"] == driver.restart("a")
    assert [] == driver.pass_time(1000)


def test_a_parked_child_that_fails_when_a_person_starts_it_stays_down_and_those_that_wait_start_without_it() -> None:
    driver = Driver([*specs("a", park=True), *specs("b")], strategy=Strategy.ONE_FOR_ALL)
    driver.exits("a", QUOTA)
    driver.auto = False
    assert ["cancel resume a", "start a2"] == driver.restart("a")
    assert ["reply r refused", "start b2"] == driver.start_fails("a")
    assert {"a": "down", "b": "starting"} == driver.states()


def test_a_parked_child_can_be_terminated_but_not_deleted() -> None:
    driver = Driver(specs("a", park=True))
    driver.exits("a", QUOTA)
    assert ["reply d restarting"] == driver.delete("a")
    assert ["cancel resume a", "reply t ok"] == driver.terminate("a")
    assert {"a": "down"} == driver.states()
    assert [] == driver.pass_time(1000)


def test_a_shutdown_ends_a_park() -> None:
    driver = Driver(specs("a", park=True))
    driver.exits("a", QUOTA)
    assert ["cancel resume a", "exit shutdown"] == driver.feed(ShutdownRequested())
    assert {"a": "down"} == driver.states()


# ---- a quota group under one_for_one ----------------------------------------------------------------


def grouped(ids: Iterable[str], **fields: object) -> list[ChildSpec]:
    return specs(ids, park=True, quota_group="g", **fields)


def test_a_quota_exit_parks_its_whole_group_and_tells_the_other_supervisors() -> None:
    driver = Driver([*grouped("abc"), *specs("d", park=True)])
    given = quiet(driver, driver.exits("b", FOUR_SECONDS))
    assert [
        "report b park",
        "set resume b 5",
        "park g",
        "report a park",
        "set resume a 5",
        "report c park",
        "set resume c 5",
        "stop c1",
        "stop a1",
    ] == given
    assert ParkQuotaGroup("g", 4.0) in driver.commands
    assert {"a": "parked", "b": "parked", "c": "parked", "d": "running"} == driver.states()
    assert "its quota group is parked" == driver.core.child("a").detail


def test_all_resume_spread_over_the_jitter_and_it_has_cost_nothing() -> None:
    driver = Driver(grouped("abcdefgh"), uniform=random.Random(1).uniform, max_restarts=0)
    driver.exits("d", Exit(ExitClass.QUOTA, "429", retry_after=100.0))
    until = [child.until for child in driver.core.children()]
    assert all(when is not None and 100.0 <= when <= 125.0 for when in until)
    assert 8 == len(set(until))
    driver.pass_time(99.9)
    assert {"parked"} == set(driver.states().values())
    driver.pass_time(25.1)
    assert {"running"} == set(driver.states().values())
    assert {0} == {child.restarts for child in driver.core.children()}
    assert 0 == driver.core.restarts_in_window(driver.now)


def test_who_is_down_held_or_temporary_is_not_parked_with_the_group() -> None:
    driver = Driver([*grouped("a"), *grouped("b"), *grouped("t", restart=TEMPORARY), *grouped("h", max_restarts=0)])
    driver.terminate("b")
    driver.exits("h")
    driver.exits("a", QUOTA)
    assert {"a": "parked", "b": "down", "t": "running", "h": "quarantined"} == driver.states()


def test_a_member_that_backs_off_parks_instead() -> None:
    driver = Driver([*grouped("a"), *grouped("b", backoff=Backoff())], max_restarts=3, within=100.0)
    driver.exits("b")
    driver.exits("b")
    assert "backing_off" == driver.states()["b"]
    given = driver.exits("a", FOUR_SECONDS)
    assert ["report a park", "set resume a 5", "park g", "report b park", "cancel resume b", "set resume b 5"] == given
    assert ["start a2"] == driver.pass_time(4.9) + driver.pass_time(0.1)[:1]
    assert "running" == driver.states()["b"]


def test_a_second_quota_exit_extends_the_wait_of_the_group_and_never_shortens_it() -> None:
    driver = Driver(grouped("ab"))
    driver.exits("a", FOUR_SECONDS)
    assert 5.0 == driver.core.child("b").until
    assert [] == driver.feed(QuotaGroupParked("g", 2.0))
    assert 5.0 == driver.core.child("b").until
    given = driver.feed(QuotaGroupParked("g", 40.0))
    assert ["report a park", "set resume a 50", "report b park", "set resume b 50"] == [w for w in given if "cancel" not in w]
    assert [] == driver.pass_time(49.9)
    assert ["start a2", "start b2"] == driver.pass_time(0.1)


def test_a_group_that_another_supervisor_parked_is_parked_here_and_not_passed_on() -> None:
    driver = Driver([*grouped("a"), *specs("b")])
    given = driver.feed(QuotaGroupParked("g", None))
    assert ["report a park", "set resume a 75", "stop a1"] == quiet(driver, given)
    assert [] == driver.feed(QuotaGroupParked("other", None))


def test_a_quota_group_is_known_by_its_name() -> None:
    driver = Driver(specs("a", park=True, quota_group="some provider"))
    assert "report a park" == driver.feed(QuotaGroupParked("some " + "provider".lower(), None))[0]


def test_a_wait_that_is_just_as_long_is_left_alone() -> None:
    driver = Driver(grouped("a"), uniform=lambda low, _high: low)
    driver.feed(QuotaGroupParked("g", 4.0))
    assert [] == driver.feed(QuotaGroupParked("g", 4.0))


def test_who_waits_for_a_quota_is_terminated_after_a_restart_that_is_about_to_pass_it() -> None:
    driver = Driver([*specs("a"), *specs("b", park=True), *specs("c")], strategy=Strategy.REST_FOR_ONE)
    driver.exits("b", QUOTA)
    driver.auto = False
    driver.exits("a")
    assert [] == driver.terminate("b")
    assert ["cancel resume b", "reply t ok", "start c2"] == driver.started("a")


def test_a_group_that_is_parked_before_the_start_or_during_the_shutdown_changes_nothing() -> None:
    driver = Driver(grouped("a"), started=False)
    assert [] == driver.feed(QuotaGroupParked("g", None))
    assert {"a": "down"} == driver.states()
    driver = Driver(grouped("a"))
    driver.auto = False
    driver.feed(ShutdownRequested())
    assert [] == driver.feed(QuotaGroupParked("g", None))


def test_a_group_that_is_parked_while_the_first_children_start_is_parked_after_that() -> None:
    driver = Driver(grouped("ab"), auto=False)
    assert [] == driver.feed(QuotaGroupParked("g", 4.0))
    driver.started("a")
    assert ["report a park", "report b park", "stop b1"] == [w for w in quiet(driver, driver.started("b")) if "set" not in w]


def test_a_group_that_waits_to_be_parked_when_the_supervisor_shuts_down_is_not() -> None:
    driver = Driver(grouped("a"), auto=False)
    driver.feed(QuotaGroupParked("g", 4.0))
    assert ["stop a1", "set kill a 5"] == driver.feed(ShutdownRequested())
    assert ["cancel kill a", "exit shutdown"] == driver.exits("a", STOPPED)


def test_a_member_that_ends_by_itself_while_its_group_is_being_parked_parks_as_well() -> None:
    driver = Driver(grouped("abc"))
    driver.auto = False
    driver.exits("b", FOUR_SECONDS)
    assert [] == driver.exits("a", CRASH)
    assert ["cancel kill c", "report a leave"] == driver.exits("c", STOPPED)
    assert {"a": "parked", "b": "parked", "c": "parked"} == driver.states()


def test_a_member_whose_wait_is_over_before_it_has_stopped_is_started_then() -> None:
    driver = Driver(grouped("ab", shutdown=100.0))
    driver.auto = False
    driver.exits("a", FOUR_SECONDS)
    assert [] == driver.pass_time(10)
    assert ["cancel kill b", "start a2"] == driver.exits("b", STOPPED)
    assert ["start b2"] == driver.started("a")


def test_a_wait_that_is_extended_after_its_timer_fired_is_not_ended_by_that_timer() -> None:
    driver = Driver([*grouped("a"), *specs("b", shutdown=100.0)])
    driver.exits("a", FOUR_SECONDS)
    driver.auto = False
    driver.terminate("b")
    driver.feed(QuotaGroupParked("g", 40.0))
    assert [] == driver.pass_time(4.99)
    driver.pass_time(0.01)
    assert ["cancel kill b", "reply t ok", "report a park", "set resume a 50"] == driver.exits("b", STOPPED)
    assert "parked" == driver.states()["a"]
    assert ["start a2"] == driver.pass_time(50)


def test_a_member_that_is_terminated_while_it_is_stopped_to_be_parked_stays_down() -> None:
    driver = Driver(grouped("ab"))
    driver.auto = False
    driver.exits("a", FOUR_SECONDS)
    assert ["stop b1"] == driver.terminate("b")
    assert ["cancel kill b", "reply t ok", "cancel resume b"] == driver.exits("b", STOPPED)
    assert {"a": "parked", "b": "down"} == driver.states()
    assert ["start a2"] == driver.pass_time(5)


def test_a_shutdown_while_a_member_is_stopped_to_be_parked_ends_it_all() -> None:
    driver = Driver(grouped("ab"))
    driver.auto = False
    driver.exits("a", FOUR_SECONDS)
    assert ["cancel resume a", "cancel resume b"] == driver.feed(ShutdownRequested())
    assert ["cancel kill b", "exit shutdown"] == driver.exits("b", STOPPED)
    assert {"a": "down", "b": "down"} == driver.states()


# ---- under the other strategies ---------------------------------------------------------------------


def test_in_one_for_all_everyone_waits_for_the_one_that_parks() -> None:
    driver = Driver(grouped("abc"), strategy=Strategy.ONE_FOR_ALL)
    assert ["report b park", "set resume b 5", "park g", "stop c1", "stop a1"] == quiet(driver, driver.exits("b", FOUR_SECONDS))
    assert {"a": "down", "b": "parked", "c": "down"} == driver.states()
    assert ["start a2", "start b2", "start c2"] == driver.pass_time(5)
    assert {0} == {child.restarts for child in driver.core.children()}


def test_in_rest_for_one_the_first_member_takes_along_what_comes_after_it() -> None:
    driver = Driver([*specs("x"), *grouped("a"), *specs("b"), *grouped("c"), *specs("d")], strategy=Strategy.REST_FOR_ONE)
    given = quiet(driver, driver.exits("c", FOUR_SECONDS))
    assert [
        "report c park",
        "set resume c 5",
        "park g",
        "stop d1",
        "report a park",
        "set resume a 5",
        "stop b1",
        "stop a1",
    ] == given
    assert {"x": "running", "a": "parked", "b": "down", "c": "parked", "d": "down"} == driver.states()
    assert [None, None, "a", None, "c"] == [child.waits_for for child in driver.core.children()]
    given = quiet(driver, driver.pass_time(5))
    assert ["start a2", "start b2", "start c2", "start d2"] == given
    assert {0} == {child.restarts for child in driver.core.children()}


def test_in_rest_for_one_a_group_that_another_supervisor_parked_waits_for_its_first_member() -> None:
    driver = Driver([*grouped("a"), *specs("b"), *grouped("c")], strategy=Strategy.REST_FOR_ONE)
    given = quiet(driver, driver.feed(QuotaGroupParked("g", 4.0)))
    assert ["report a park", "set resume a 5", "stop c1", "stop b1", "stop a1"] == given
    assert {"a": "parked", "b": "down", "c": "down"} == driver.states()
    assert [None, "a", "a"] == [child.waits_for for child in driver.core.children()]


def test_a_group_restart_does_not_revive_who_waits_for_a_quota() -> None:
    driver = Driver([*specs("a"), *specs("b", park=True), *specs("c")], strategy=Strategy.REST_FOR_ONE)
    driver.exits("b", QUOTA)
    assert {"a": "running", "b": "parked", "c": "down"} == driver.states()
    assert ["report a restart", "start a2"] == driver.exits("a")
    assert {"a": "running", "b": "parked", "c": "down"} == driver.states()
    assert ["start b2", "start c2"] == driver.pass_time(75)


def test_a_first_member_that_is_terminated_while_it_is_stopped_to_be_parked_releases_those_that_wait_for_it() -> None:
    driver = Driver([*grouped("a"), *specs("b")], strategy=Strategy.REST_FOR_ONE)
    driver.auto = False
    driver.feed(QuotaGroupParked("g", 4.0))
    driver.exits("b", STOPPED)
    assert ["stop a1"] == driver.terminate("a")
    assert ["cancel kill a", "reply t ok", "cancel resume a", "start b2"] == driver.exits("a", STOPPED)


def test_a_first_member_that_backs_off_parks_with_those_that_wait_for_it() -> None:
    driver = Driver([*grouped("a", backoff=Backoff()), *specs("b")], strategy=Strategy.REST_FOR_ONE, max_restarts=3, within=100.0)
    driver.exits("a")
    driver.exits("a")
    driver.restart("b")
    given = quiet(driver, driver.feed(QuotaGroupParked("g", 4.0)))
    assert ["report a park", "cancel resume a", "set resume a 5", "stop b3"] == given
    assert {"a": "parked", "b": "down"} == driver.states()


def test_a_client_that_waits_for_a_child_that_is_deleted_starts_though_a_later_child_of_that_id_is_parked() -> None:
    driver = Driver([*grouped(["aa"]), ChildSpec(id="bb")], strategy=Strategy.REST_FOR_ONE, max_restarts=9)
    driver.exits("aa", FOUR_SECONDS)
    driver.auto = False
    driver.start(ChildSpec(id="cc"))
    driver.delete("aa")
    # Equal, but another object; it stands behind `bb`, and takes nobody along.
    driver.start(grouped(["".join("aa")])[0])
    driver.feed(QuotaGroupParked("g", 4.0))
    driver.terminate("aa")
    driver.auto = True
    driver.started("cc")
    assert {"bb": "running", "cc": "running", "aa": "parked"} == driver.states()
    assert driver.core.child("bb").waits_for is None
