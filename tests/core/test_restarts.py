"""OTP's rules: what is restarted, what it takes along, what it costs, and when the supervisor gives up."""

import pytest

from suptree.actors.exits import Exit, ExitClass
from suptree.supervisors.core.core import Phase
from suptree.supervisors.decisions.core_commands import Decision, ExitSupervisor, Report
from suptree.supervisors.decisions.restart_window import RestartWindow
from suptree.supervisors.decisions.rules import RESTARTS
from suptree.supervisors.decisions.strategy import restarts_siblings, taken_along
from suptree.supervisors.spec.child_spec import AutoShutdown, ChildSpec, OnLimit, RestartType, Strategy

from .driver import CRASH, FAILED, NORMAL, PERMANENT, STOPPED, TEMPORARY, TRANSIENT, Driver, specs

ONE_FOR_ALL, REST_FOR_ONE = Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE


@pytest.mark.parametrize("exit_class", list(ExitClass))
@pytest.mark.parametrize("restart", list(RestartType))
def test_a_child_is_restarted_as_its_restart_type_says(restart: RestartType, exit_class: ExitClass) -> None:
    driver = Driver(specs("a", restart=restart))
    given = driver.exits("a", Exit(exit_class, "x"))
    normal = exit_class in (ExitClass.NORMAL, ExitClass.SHUTDOWN)
    if RESTARTS[restart, normal]:
        assert ["report a restart", "start a2"] == given
    else:
        assert ["report a leave"] == given
        assert f"{exit_class} (x): a {restart.value} child is not restarted" == driver.report().why


def test_the_table_of_restart_types_is_otps() -> None:
    assert {
        (PERMANENT, True): True,
        (PERMANENT, False): True,
        (TRANSIENT, True): False,
        (TRANSIENT, False): True,
        (TEMPORARY, True): False,
        (TEMPORARY, False): False,
    } == RESTARTS


def test_the_spec_of_a_temporary_child_is_deleted_when_it_ends_and_that_of_a_transient_one_is_kept() -> None:
    driver = Driver([ChildSpec(id="t", restart=TEMPORARY), ChildSpec(id="u", restart=TRANSIENT)])
    driver.exits("t")
    driver.exits("u", NORMAL)
    assert {"u": "down"} == driver.states()
    assert "normal (exit 0)" == driver.core.child("u").detail


def test_one_for_one_restarts_the_one() -> None:
    driver = Driver(specs("abc"))
    assert ["report b restart", "start b2"] == driver.exits("b")
    assert ("b",) == driver.report().affected


def test_one_for_all_stops_the_others_in_reverse_and_starts_all_forward() -> None:
    driver = Driver(specs("abc"), strategy=ONE_FOR_ALL)
    given = [word for word in driver.exits("b") if "kill" not in word]
    assert ["report b restart", "stop c1", "stop a1", "start a2", "start b2", "start c2"] == given
    assert ("a", "b", "c") == driver.commands[0].affected
    assert {1} == {child.restarts for child in driver.core.children()}


def test_rest_for_one_restarts_those_started_later() -> None:
    driver = Driver(specs("abc"), strategy=REST_FOR_ONE)
    given = [word for word in driver.exits("b") if "kill" not in word]
    assert ["report b restart", "stop c1", "start b2", "start c2"] == given
    assert ("b", "c") == driver.commands[0].affected
    assert [0, 1, 1] == [child.restarts for child in driver.core.children()]


def test_a_temporary_sibling_that_a_restart_stops_is_deleted() -> None:
    driver = Driver([ChildSpec(id="a"), ChildSpec(id="t", restart=TEMPORARY)], strategy=ONE_FOR_ALL)
    assert ["report a restart", "stop t1", "set kill t 5", "cancel kill t", "start a2"] == driver.exits("a")
    assert {"a": "running"} == driver.states()


def test_a_group_restart_revives_those_that_were_stopped_by_hand() -> None:
    driver = Driver(specs("ab"), strategy=ONE_FOR_ALL)
    driver.terminate("b")
    assert ["report a restart", "start a2", "start b2"] == driver.exits("a")


def test_a_group_restart_costs_one() -> None:
    driver = Driver(specs("abc"), strategy=ONE_FOR_ALL, max_restarts=2)
    driver.exits("a")
    assert 1 == driver.core.restarts_in_window(0)
    assert 1 == driver.commands[0].restarts_left


def test_a_sibling_that_ends_while_its_group_is_stopped_costs_nothing_and_is_reported() -> None:
    driver = Driver([*specs("ab"), ChildSpec(id="t", restart=TEMPORARY)], strategy=ONE_FOR_ALL)
    driver.auto = False
    driver.exits("a")
    assert [] == driver.exits("b")
    assert ["cancel kill t", "report b restart", "start a2"] == driver.exits("t", STOPPED)
    assert () == driver.report().affected
    assert 1 == driver.core.restarts_in_window(0)
    assert ["start b2"] == driver.started("a")


def test_a_temporary_sibling_that_ends_while_its_group_is_stopped_is_left() -> None:
    driver = Driver([ChildSpec(id="a"), ChildSpec(id="t", restart=TEMPORARY), ChildSpec(id="b")], strategy=ONE_FOR_ALL)
    driver.auto = False
    driver.exits("a")
    driver.exits("t")
    assert ["cancel kill b", "report t leave", "start a2"] == driver.exits("b", STOPPED)


def test_a_child_that_ends_during_a_restart_it_has_no_part_in_is_handled_after_it() -> None:
    driver = Driver(specs("abc"), strategy=REST_FOR_ONE, max_restarts=2)
    driver.auto = False
    driver.exits("b")
    assert [] == driver.exits("a")
    driver.exits("c", STOPPED)
    driver.started("b")
    assert ["report a restart", "stop c2", "set kill c 5"] == driver.started("c")


# ---- intensity --------------------------------------------------------------------------------------


def test_more_restarts_than_allowed_stop_the_others_in_reverse_and_end_the_supervisor_with_shutdown() -> None:
    driver = Driver(specs("abc"))
    driver.exits("b")
    assert ["report b escalate", "stop c1", "stop a1", "exit shutdown"] == [w for w in driver.exits("b") if "kill" not in w]
    assert Phase.EXITED == driver.core.phase
    words = "reached maximum restart intensity: b: crash (SIGSEGV): more than 1 restarts within 5 s"
    assert ExitSupervisor(Exit(ExitClass.SHUTDOWN, words)) == driver.commands[-1]
    assert Report("b", 2, Decision.ESCALATE, "crash (SIGSEGV): more than 1 restarts within 5 s", restarts_left=0) == driver.commands[0]


def test_the_window_is_the_supervisors_not_the_childs() -> None:
    driver = Driver(specs("ab"))
    driver.exits("a")
    assert "report b escalate" == driver.exits("b")[0]


@pytest.mark.parametrize(("seconds", "decision"), [(5.0, "escalate"), (5.01, "restart")])
def test_a_restart_counts_for_as_long_as_the_period(seconds: float, decision: str) -> None:
    driver = Driver(specs("a"))
    driver.exits("a")
    driver.pass_time(seconds)
    assert f"report a {decision}" == driver.exits("a")[0]


def test_no_restart_is_allowed_where_none_is() -> None:
    driver = Driver(specs("a"), max_restarts=0)
    assert ["report a escalate", "exit shutdown"] == driver.exits("a")


def test_time_that_goes_back_stands_still() -> None:
    driver = Driver(specs("a"), max_restarts=2)
    driver.now = 100.0
    driver.exits("a")
    driver.now = 0.0
    driver.exits("a")
    driver.now = 104.0
    assert "report a escalate" == driver.exits("a")[0]


def test_a_restart_window_forgets_only_what_is_old() -> None:
    window = RestartWindow(3, 10.0)
    window.add(0.0)
    window.add(6.0)
    assert (2, 1) == (window.count(10.0), window.left(10.0))
    assert (1, 2) == (window.count(10.1), window.left(10.1))


def test_beyond_the_limit_the_one_child_is_quarantined_where_the_supervisor_says_so() -> None:
    driver = Driver(specs("ab"), on_limit=OnLimit.QUARANTINE)
    driver.exits("a")
    assert ["report a quarantine"] == driver.exits("a")
    assert {"a": "quarantined", "b": "running"} == driver.states()
    assert "crash (SIGSEGV): more than 1 restarts within 5 s" == driver.core.child("a").detail
    driver.pass_time(6)
    assert ["report b restart", "start b2"] == driver.exits("b")


# ---- failed starts during a restart -----------------------------------------------------------------


def test_a_failed_restart_costs_one_and_is_tried_again_immediately() -> None:
    driver = Driver(specs("a"), max_restarts=2)
    driver.auto = False
    driver.exits("a")
    assert ["report a restart", "start a3"] == driver.start_fails("a")
    assert 2 == driver.core.restarts_in_window(0)
    assert ["report a escalate", "exit shutdown"] == driver.start_fails("a")


def test_a_failed_restart_is_tried_again_whatever_its_exit_and_restart_type() -> None:
    driver = Driver(specs("a", restart=TRANSIENT), max_restarts=2)
    driver.auto = False
    driver.exits("a")
    assert ["report a restart", "start a3"] == driver.exits("a", NORMAL)


def test_requests_are_served_between_two_attempts() -> None:
    driver = Driver(specs("ab"), max_restarts=9)
    driver.auto = False
    driver.exits("a")
    driver.terminate("b")
    assert ["stop b1", "set kill b 5"] == driver.start_fails("a")
    assert "restarting" == driver.states()["a"]
    assert ["cancel kill b", "reply t ok", "report a restart", "start a3"] == driver.exits("b", STOPPED)


def test_a_failed_restart_can_be_terminated_before_it_is_tried_again_and_then_the_rest_stays_down() -> None:
    driver = Driver(specs("abc"), strategy=ONE_FOR_ALL, max_restarts=9)
    driver.auto = False
    driver.exits("c")
    driver.exits("b", STOPPED)
    assert ["stop a1"] == driver.terminate("a")
    driver.exits("a", STOPPED)
    assert ["reply t ok"] == driver.start_fails("a")
    assert {"a": "down", "b": "down", "c": "down"} == driver.states()
    assert {None} == {child.waits_for for child in driver.core.children()}
    assert 1 == driver.core.restarts_in_window(0)


def test_a_failed_restart_alone_can_be_terminated_before_it_is_tried_again() -> None:
    driver = Driver(specs("ab"), max_restarts=9)
    driver.auto = False
    driver.terminate("b")
    driver.exits("a")
    driver.exits("b", STOPPED)
    driver.terminate("b")
    assert ["reply t ok", "report a restart", "start a3"] == driver.start_fails("a")


def test_a_failed_restart_answers_restarting() -> None:
    driver = Driver(specs("ab"), max_restarts=9)
    driver.auto = False
    driver.exits("a")
    driver.restart("a")
    driver.delete("a")
    assert ["reply r restarting", "reply d restarting", "report a restart", "start a3"] == driver.start_fails("a")


def test_rest_for_one_resumes_at_the_child_that_failed() -> None:
    driver = Driver(specs("abc"), strategy=REST_FOR_ONE, max_restarts=9)
    driver.auto = False
    driver.exits("a")
    driver.exits("c", STOPPED)
    driver.exits("b", STOPPED)
    driver.started("a")
    assert ["report b restart", "start b3"] == driver.start_fails("b")
    assert ["start c2"] == driver.started("b")
    driver.started("c")
    assert {"a": "running", "b": "running", "c": "running"} == driver.states()


def test_one_for_all_starts_all_over_again() -> None:
    driver = Driver(specs("abc"), strategy=ONE_FOR_ALL, max_restarts=9)
    driver.auto = False
    driver.exits("a")
    driver.exits("c", STOPPED)
    driver.exits("b", STOPPED)
    driver.started("a")
    assert ["report b restart", "stop a2", "set kill a 5"] == driver.start_fails("b")
    assert ["cancel kill a", "start a3"] == driver.exits("a", STOPPED)


def test_a_temporary_sibling_that_was_stopped_is_not_missed_when_a_restart_fails() -> None:
    driver = Driver([*specs("a"), ChildSpec(id="t", restart=TEMPORARY), *specs("b")], strategy=ONE_FOR_ALL, max_restarts=9)
    driver.auto = False
    driver.exits("a")
    driver.exits("b", STOPPED)
    driver.exits("t", STOPPED)
    assert ["report a restart", "start a3"] == driver.start_fails("a")
    assert ["start b2"] == driver.started("a")


# ---- auto_shutdown ----------------------------------------------------------------------------------


def significant(ids: str, restart: RestartType = TRANSIENT) -> list[ChildSpec]:
    return specs(ids, restart=restart, significant=True)


def test_the_end_of_any_significant_child_shuts_the_supervisor_down() -> None:
    driver = Driver([*significant("a"), *specs("b")], auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    given = driver.exits("a", NORMAL)
    assert ["report a auto_shutdown", "stop b1", "set kill b 5", "cancel kill b", "exit shutdown"] == given
    assert ExitSupervisor(Exit(ExitClass.SHUTDOWN, "significant child a ended")) == driver.commands[-1]
    assert "normal (exit 0): a transient child is not restarted; it was significant" == driver.commands[0].why


def test_a_significant_child_that_is_restarted_has_not_ended() -> None:
    driver = Driver(significant("a"), auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    assert ["report a restart", "start a2"] == driver.exits("a", FAILED)


def test_the_end_of_an_insignificant_child_shuts_nothing_down() -> None:
    for auto_shutdown in AutoShutdown:
        driver = Driver(specs("ab", restart=TEMPORARY), auto_shutdown=auto_shutdown)
        assert ["report a leave"] == driver.exits("a")


def test_the_end_of_the_last_significant_child_shuts_the_supervisor_down() -> None:
    driver = Driver([*significant("ab"), *specs("c")], auto_shutdown=AutoShutdown.ALL_SIGNIFICANT)
    assert ["report a leave"] == driver.exits("a", NORMAL)
    assert "report b auto_shutdown" == driver.exits("b", NORMAL)[0]


def test_a_significant_child_that_restarts_counts_as_active() -> None:
    driver = Driver(significant("ab"), auto_shutdown=AutoShutdown.ALL_SIGNIFICANT, max_restarts=5)
    driver.auto = False
    driver.exits("a")
    driver.exits("b", NORMAL)
    assert ["report b leave", "report a restart", "start a3"] == driver.start_fails("a")


def test_a_terminated_significant_child_shuts_nothing_down() -> None:
    driver = Driver(significant("a"), auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    assert "reply t ok" == driver.terminate("a")[-1]
    assert Phase.RUNNING == driver.core.phase


def test_a_crash_is_reported_before_it_is_dealt_with() -> None:
    driver = Driver(specs("a"))
    driver.exits("a", CRASH)
    assert Report("a", 1, Decision.RESTART, "crash (SIGSEGV)", 0.0, ("a",), 0) == driver.commands[0]


# ---- strategies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, {"a": ("a",), "b": ("b",), "c": ("c",)}),
        (Strategy.ONE_FOR_ALL, {"a": ("a", "b", "c"), "b": ("a", "b", "c"), "c": ("a", "b", "c")}),
        (Strategy.REST_FOR_ONE, {"a": ("a", "b", "c"), "b": ("b", "c"), "c": ("c",)}),
    ],
)
def test_a_strategy_says_which_siblings_a_restart_takes_along(strategy: Strategy, expected: dict[str, tuple[str, ...]]) -> None:
    assert expected == {child_id: taken_along(strategy, "abc", child_id) for child_id in "abc"}


def test_only_one_for_one_leaves_the_siblings_alone() -> None:
    assert [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE] == [strategy for strategy in Strategy if restarts_siblings(strategy)]


# ---- while a sibling starts -------------------------------------------------------------------------


def test_a_child_that_ends_while_a_sibling_starts_waits_for_that_and_says_so() -> None:
    driver = Driver(specs("abc"), max_restarts=10)
    driver.auto = False
    driver.exits("a")
    assert ["report b wait"] == driver.exits("b")
    why = "crash (SIGSEGV): what comes next is decided when a has started"
    assert (why, (), 0.0, 9) == (driver.report().why, driver.report().affected, driver.report().delay, driver.report().restarts_left)
    assert why == driver.core.child("b").detail
    assert ["report b restart", "start b2"] == driver.started("a")
    assert "" == driver.core.child("b").detail


def test_a_child_that_ends_while_the_supervisor_starts_waits_and_says_so() -> None:
    driver = Driver(specs("ab"), auto=False)
    driver.started("a")
    assert ["report a wait"] == driver.exits("a", NORMAL)
    assert ["report a restart", "start a2"] == driver.started("b")


def test_a_child_that_ends_while_a_person_starts_a_sibling_waits_and_says_so() -> None:
    driver = Driver(specs("a", restart=TRANSIENT), auto=True)
    driver.auto = False
    driver.start(ChildSpec(id="b"))
    assert ["report a wait"] == driver.exits("a", NORMAL)
    assert ["reply s refused", "report a leave"] == driver.start_fails("b")


def test_a_child_that_ends_while_a_sibling_stops_says_nothing_before_it_is_decided() -> None:
    driver = Driver(specs("abc"))
    driver.auto = False
    driver.terminate("c")
    assert [] == driver.exits("a")
    assert ["cancel kill c", "reply t ok", "report a restart", "start a2"] == driver.exits("c", STOPPED)
