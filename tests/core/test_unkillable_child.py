"""A child whose processes do not die: what needs its end waits for it, and everything else goes on."""

from typing import Any

from suptree.actors.exits import Exit, ExitClass
from suptree.supervisors.decisions.core_commands import Answer, Reply
from suptree.supervisors.decisions.core_events import ChildUnkillable, QuotaGroupParked, ShutdownRequested, TerminateChildRequested
from suptree.supervisors.spec.child_spec import Backoff, ChildSpec, Strategy

from .driver import FAILED, NORMAL, STOPPED, TEMPORARY, Driver, specs

HANGS = "processes of it got SIGKILL and do not die"


def running(ids: str, **flags: Any) -> Driver:
    """Children that have started; from here on they obey when the test says so."""
    driver = Driver(specs(ids), max_restarts=100, **flags)
    driver.auto = False
    return driver


def unkillable(driver: Driver, child_id: str) -> list[str]:
    return driver.feed(ChildUnkillable(child_id, driver.incarnation(child_id)))


def test_its_stop_waits_and_its_siblings_are_stopped_and_restarted_meanwhile() -> None:
    driver = running("ab")
    driver.terminate("a")
    assert ["kill a1"] == driver.pass_time(5)
    driver.terminate("b", "b")
    assert ["stop b1", "set kill b 5"] == unkillable(driver, "a")
    assert ["cancel kill b", "reply b ok"] == driver.exits("b", STOPPED)
    assert ["start b2"] == driver.restart("b")
    driver.started("b")
    assert ["report b restart", "start b3"] == driver.exits("b")
    driver.started("b")
    assert {"a": "stopping", "b": "running"} == driver.states()
    assert ["reply t ok"] == driver.exits("a", STOPPED)
    assert {"a": "down", "b": "running"} == driver.states()


def test_a_stop_of_one_that_is_known_not_to_die_holds_nobody_up() -> None:
    driver = running("ab")
    assert [] == unkillable(driver, "a")
    assert ["stop a1", "set kill a 5"] == driver.terminate("a")
    assert ["stop b1", "set kill b 5"] == driver.terminate("b", "b")
    driver.exits("b", STOPPED)
    # A second stop waits as the first does, and presses on.
    assert ["stop a1"] == driver.terminate("a", "again")
    assert ["cancel kill a", "reply t ok", "reply again ok"] == driver.exits("a", STOPPED)
    assert {"a": "down", "b": "down"} == driver.states()


def test_one_that_nobody_waits_for_changes_nothing_about_the_stop_of_a_sibling() -> None:
    driver = running("abc")
    driver.terminate("b")
    assert [] == unkillable(driver, "a")
    assert [] == unkillable(driver, "c")
    assert {"a": "running", "b": "stopping", "c": "running"} == driver.states()
    assert ["cancel kill b", "reply t ok"] == driver.exits("b", STOPPED)
    assert {"a": "running", "b": "down", "c": "running"} == driver.states()


def test_one_that_ended_by_itself_is_restarted_when_it_has_died() -> None:
    driver = running("ab")
    assert [] == unkillable(driver, "a")
    assert ["report a restart", "start a2"] == driver.exits("a")


def test_in_a_group_those_before_it_are_started_and_the_others_when_it_has_died() -> None:
    driver = running("abc", strategy=Strategy.ONE_FOR_ALL)
    assert ["report a restart", "stop c1", "set kill c 5"] == driver.exits("a")
    assert ["cancel kill c", "stop b1", "set kill b 5"] == driver.exits("c", STOPPED)
    assert ["start a2"] == unkillable(driver, "b")
    driver.started("a")
    assert {"a": "running", "b": "stopping", "c": "down"} == driver.states()
    # Those that wait for it say so; another restart of the group comes no further.
    assert ["", "", "b"] == [child.waits_for or "" for child in driver.core.children()]
    assert ["report a restart", "start a3"] == driver.exits("a")
    driver.started("a")
    assert ["cancel kill b", "start b2"] == driver.exits("b", STOPPED)
    assert ["start c2"] == driver.started("b")
    driver.started("c")
    assert {"a": "running", "b": "running", "c": "running"} == driver.states()


def test_a_person_who_stops_it_during_a_group_restart_has_the_others_started_without_it() -> None:
    driver = running("abc", strategy=Strategy.REST_FOR_ONE)
    driver.exits("a")
    driver.exits("c", STOPPED)
    unkillable(driver, "b")
    driver.started("a")
    assert ["stop b1"] == driver.terminate("b")
    assert ["cancel kill b", "reply t ok", "start c2"] == driver.exits("b", STOPPED)
    driver.started("c")
    assert {"a": "running", "b": "down", "c": "running"} == driver.states()


def test_a_temporary_one_is_forgotten_when_it_has_died_and_those_that_waited_are_started() -> None:
    driver = Driver([*specs("a"), *specs("t", restart=TEMPORARY), *specs("c")], strategy=Strategy.ONE_FOR_ALL, max_restarts=100)
    driver.auto = False
    driver.exits("a")
    driver.exits("c", STOPPED)
    assert ["start a2"] == unkillable(driver, "t")
    driver.started("a")
    assert ["cancel kill t", "start c2"] == driver.exits("t", STOPPED)
    assert ["a", "c"] == list(driver.states())


def test_a_temporary_sibling_that_was_stopped_before_it_is_not_started() -> None:
    driver = Driver([*specs("ab"), *specs("t", restart=TEMPORARY), *specs("d")], strategy=Strategy.ONE_FOR_ALL, max_restarts=100)
    driver.auto = False
    driver.exits("a")
    driver.exits("d", STOPPED)
    driver.exits("t", STOPPED)
    assert ["start a2"] == unkillable(driver, "b")
    driver.started("a")
    assert ["cancel kill b", "start b2"] == driver.exits("b", STOPPED)
    assert ["start d2"] == driver.started("b")


def test_a_start_that_fails_and_leaves_something_unkillable_is_refused_and_the_others_go_on() -> None:
    driver = running("a")
    driver.start(ChildSpec(id="n"))
    assert ["reply s refused"] == unkillable(driver, "n")
    assert Reply("s", Answer.REFUSED, HANGS) == driver.commands[0]
    assert ["report a restart", "start a2"] == driver.exits("a")
    driver.started("a")
    assert ["reply r running"] == driver.restart("n")
    assert [] == driver.start_fails("n")
    assert {"a": "running"} == driver.states()


def test_a_first_start_that_leaves_something_unkillable_lets_the_others_start() -> None:
    driver = Driver(specs("ab"), auto=False, max_restarts=100)
    assert ["start b1"] == unkillable(driver, "a")
    driver.started("b")
    assert ["report a restart", "start a2"] == driver.start_fails("a")


def test_one_that_is_stopped_while_it_starts_and_does_not_die_stays_down_when_it_has() -> None:
    driver = Driver(specs("ab"), auto=False, max_restarts=100)
    driver.terminate("a")
    assert ["start b1"] == unkillable(driver, "a")
    driver.started("b")
    assert ["cancel kill a", "reply t ok"] == driver.start_fails("a")
    assert {"a": "down", "b": "running"} == driver.states()


def test_the_shutdown_goes_on_without_it_and_a_client_that_waits_for_it_is_refused() -> None:
    driver = running("abc")
    driver.terminate("b")
    unkillable(driver, "b")
    assert ["stop c1", "set kill c 5"] == driver.feed(ShutdownRequested())
    assert ["cancel kill c", "stop a1", "set kill a 5"] == driver.exits("c", STOPPED)
    assert ["cancel kill a", "reply t refused", "exit shutdown"] == driver.exits("a", STOPPED)
    assert Reply("t", Answer.REFUSED, HANGS) in driver.commands
    assert ["reply late refused"] == driver.feed(TerminateChildRequested("late", "b"))
    # It dies after all, when nobody asks any more.
    assert [] == [said for said in driver.exits("b", STOPPED) if "cancel" not in said]


def test_a_shutdown_that_comes_to_it_goes_on_when_it_is_found_not_to_die() -> None:
    driver = running("ab")
    driver.feed(ShutdownRequested())
    assert ["stop a1", "set kill a 5"] == unkillable(driver, "b")
    assert ["cancel kill a", "exit shutdown"] == driver.exits("a", STOPPED)


def test_one_that_is_stopped_to_be_parked_is_parked_when_it_has_died_or_started_if_the_park_is_over() -> None:
    for passes, expected in ((1, "parked"), (200, "starting")):
        driver = Driver([ChildSpec(id="a", quota_group="q", park=True), ChildSpec(id="b")], max_restarts=100)
        driver.auto = False
        driver.feed(QuotaGroupParked("q", 60))
        unkillable(driver, "a")
        driver.pass_time(passes)
        assert ["report b restart", "start b2"] == driver.exits("b")
        driver.started("b")
        driver.exits("a", STOPPED)
        assert expected == driver.states()["a"]


def test_in_a_group_that_backs_off_it_waits_for_the_leader_and_the_leader_for_nobody() -> None:
    driver = Driver(specs("ab", backoff=Backoff()), strategy=Strategy.ONE_FOR_ALL, max_restarts=10, within=1000.0)
    driver.exits("a", FAILED)
    driver.auto = False
    driver.exits("a", FAILED)
    unkillable(driver, "b")
    assert ["start a3"] == driver.pass_time(1)[-1:]
    driver.started("a")
    assert "start b3" == driver.exits("b", Exit(ExitClass.SHUTDOWN, "at last"))[-1]


def test_an_event_about_one_that_is_gone_or_down_changes_nothing() -> None:
    driver = running("ab")
    assert [] == driver.feed(ChildUnkillable("a", 0), ChildUnkillable("nobody", 1))
    driver.terminate("a")
    driver.exits("a", NORMAL)
    assert [] == unkillable(driver, "a")
    assert ["start a2"] == driver.restart("a")
