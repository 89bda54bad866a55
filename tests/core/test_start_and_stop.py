"""Starts in start order, stops in reverse, one at a time, and what ends a child that does not want to stop."""

import pytest

from suptree.actors.exits import CauseId, Exit, ExitClass
from suptree.supervisors.core.core import SupervisorCore
from suptree.supervisors.decisions.core_commands import ExitSupervisor, StartChild, StopChild
from suptree.supervisors.decisions.core_events import (
    ChildExited,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    ShutdownRequested,
    StartChildRequested,
    SupervisorStarted,
    TimerFired,
)
from suptree.supervisors.decisions.timers import Timer, TimerUse
from suptree.supervisors.spec.child_spec import (
    BRUTAL_KILL,
    INFINITY,
    AutoShutdown,
    Backoff,
    ChildSpec,
    RestartType,
    Strategy,
    SupervisorFlags,
)

from .driver import CRASH, FAILED, PERMANENT_FAILURE, STOPPED, TEMPORARY, TRANSIENT, Driver, specs


def test_children_are_started_in_order_one_at_a_time() -> None:
    driver = Driver(specs("abc"), auto=False, started=False)
    assert "new" == driver.phase
    assert ["start a1"] == driver.feed(SupervisorStarted())
    assert ["start b1"] == driver.started("a")
    assert "starting" == driver.phase
    assert ["start c1"] == driver.started("b")
    assert [] == driver.started("c")
    assert "running" == driver.phase
    assert {"a": "running", "b": "running", "c": "running"} == driver.states()


def test_which_child_is_to_follow_can_be_read_while_one_starts_and_at_no_other_time() -> None:
    driver = Driver(specs("abc"), auto=False, started=False, strategy=Strategy.ONE_FOR_ALL)
    next_ones = [driver.core.next_start]
    driver.feed(SupervisorStarted())
    for child in "abc":
        next_ones.append(driver.core.next_start)
        driver.started(child)
    next_ones.append(driver.core.next_start)
    driver.exits("b")
    next_ones.append(driver.core.next_start)  # c is being stopped
    driver.exits("c", STOPPED)
    driver.exits("a", STOPPED)
    next_ones.append(driver.core.next_start)
    assert [None, "b", "c", None, None, None, "b"] == [None if spec is None else spec.id for spec in next_ones]


def test_a_start_names_spec_incarnation_and_restarts() -> None:
    driver = Driver(specs("a"))
    driver.exits("a")
    start = next(c for c in driver.commands if isinstance(c, StartChild))
    assert StartChild(driver.core.spec("a"), 2, 1) == start


def test_a_supervisor_without_children_runs() -> None:
    driver = Driver([])
    assert "running" == driver.phase
    assert ["exit shutdown"] == driver.feed(ShutdownRequested())


def test_a_second_start_of_the_supervisor_changes_nothing() -> None:
    driver = Driver(specs("a"))
    assert [] == driver.feed(SupervisorStarted())


def test_children_are_stopped_in_reverse_one_at_a_time() -> None:
    driver = Driver(specs("abc"))
    driver.auto = False
    assert ["stop c1", "set kill c 5"] == driver.feed(ShutdownRequested())
    assert "shutting_down" == driver.phase
    assert ["cancel kill c", "stop b1", "set kill b 5"] == driver.exits("c", STOPPED)
    assert ["cancel kill b", "stop a1", "set kill a 5"] == driver.exits("b", STOPPED)
    assert ["cancel kill a", "exit shutdown"] == driver.exits("a", STOPPED)
    assert "exited" == driver.phase
    assert ExitSupervisor(Exit(ExitClass.SHUTDOWN, "shutdown requested")) == driver.commands[-1]


def test_a_supervisor_that_never_started_exits_immediately() -> None:
    driver = Driver(specs("ab"), started=False)
    assert ["exit shutdown"] == driver.feed(ShutdownRequested())
    assert [] == driver.feed(SupervisorStarted())


def test_a_child_that_does_not_stop_in_its_time_is_killed() -> None:
    driver = Driver(specs("a", shutdown=3.0), auto=False)
    driver.started("a")
    assert ["stop a1", "set kill a 3"] == driver.feed(ShutdownRequested())
    assert StopChild("a", 1, 3.0) == driver.commands[0]
    assert [] == driver.pass_time(2.9)
    assert ["kill a1"] == driver.pass_time(0.1)
    assert ["exit shutdown"] == driver.exits("a", STOPPED)


def test_a_child_with_infinite_time_has_no_timer() -> None:
    for forever in (INFINITY, float("inf")):
        driver = Driver(specs("a", shutdown=forever), auto=False)
        driver.started("a")
        assert ["stop a1"] == driver.feed(ShutdownRequested())


def test_a_brutal_kill_gives_no_time_at_all() -> None:
    driver = Driver(specs("a", shutdown=BRUTAL_KILL), auto=False)
    driver.started("a")
    assert ["kill a1"] == driver.feed(ShutdownRequested())


def test_a_shutdown_of_no_seconds_asks_and_then_kills() -> None:
    driver = Driver(specs("a", shutdown=0.0), auto=False)
    driver.started("a")
    assert ["stop a1", "set kill a 0"] == driver.feed(ShutdownRequested())
    assert ["kill a1"] == driver.pass_time(0)


def test_a_second_shutdown_request_kills_what_still_stops_and_what_is_left() -> None:
    driver = Driver(specs("abc"))
    driver.auto = False
    driver.feed(ShutdownRequested())
    assert ["cancel kill c", "kill c1"] == driver.feed(ShutdownRequested())
    assert ["kill b1"] == driver.exits("c", STOPPED)
    assert ["kill a1"] == driver.exits("b", STOPPED)
    assert ["exit shutdown"] == driver.exits("a", STOPPED)
    assert [] == driver.feed(ShutdownRequested())


def test_a_shutdown_interrupts_starts_and_stops_the_child_that_starts() -> None:
    driver = Driver(specs("abc"), auto=False)
    driver.started("a")
    assert ["stop b1", "set kill b 5"] == driver.feed(ShutdownRequested())
    assert [] == driver.feed(ChildStarted("b", 1))
    assert ["cancel kill b", "stop a1", "set kill a 5"] == driver.exits("b", STOPPED)


@pytest.mark.parametrize("ids", ["abc", "cba"])
def test_a_start_that_is_answered_during_a_shutdown_is_noticed(ids: str) -> None:
    driver = Driver(specs(ids))
    first, second, third = list(ids)
    driver.auto = False
    driver.exits(first)
    assert [f"stop {third}1", f"set kill {third} 5"] == driver.feed(ShutdownRequested())
    assert [] == driver.started(first)
    assert "running" == driver.states()[first]
    driver.exits(third, STOPPED)
    assert [f"cancel kill {second}", f"stop {first}2", f"set kill {first} 5"] == driver.exits(second, STOPPED)


@pytest.mark.parametrize("answer", [ChildStartFailed("a", 2, FAILED), ChildIgnored("a", 2), ChildExited("a", 2, FAILED)])
def test_a_start_that_comes_to_nothing_during_a_shutdown_needs_no_stop(answer: ChildStartFailed | ChildIgnored | ChildExited) -> None:
    driver = Driver(specs("ab"))
    driver.auto = False
    driver.exits("a")
    assert ["stop b1", "set kill b 5"] == driver.feed(ShutdownRequested())
    assert [] == driver.feed(answer)
    assert "exit shutdown" == driver.exits("b", STOPPED)[-1]


def test_a_temporary_child_that_ignores_its_start_during_a_shutdown_is_forgotten() -> None:
    driver = Driver(specs("ab"))
    driver.auto = False
    driver.start(ChildSpec(id="t", restart=TEMPORARY))
    driver.exits("b", CRASH)
    driver.started("t")
    driver.delete("a")
    driver.start(ChildSpec(id="u", restart=TEMPORARY), request="u")
    driver.started("b")
    assert "starting" == driver.states()["u"]
    assert ["reply u refused", "stop u1", "set kill u 5"] == driver.feed(ShutdownRequested())
    assert ["cancel kill u", "stop t1", "set kill t 5"] == driver.feed(ChildIgnored("u", 1))
    assert ["a", "b", "t"] == list(driver.states())


def test_a_shutdown_waits_for_the_child_that_is_being_stopped_already() -> None:
    driver = Driver(specs("abc"))
    driver.auto = False
    driver.terminate("a")
    assert [] == driver.feed(ShutdownRequested())
    assert ["cancel kill a", "reply t ok", "stop c1", "set kill c 5"] == driver.exits("a", STOPPED)


def test_a_shutdown_in_the_middle_of_a_restart_waits_for_the_sibling_that_is_being_stopped() -> None:
    driver = Driver(specs("abc"), strategy=Strategy.ONE_FOR_ALL)
    driver.auto = False
    driver.exits("a")
    assert [] == driver.feed(ShutdownRequested())
    assert ["cancel kill c", "stop b1", "set kill b 5"] == driver.exits("c", STOPPED)
    assert ["cancel kill b", "exit shutdown"] == driver.exits("b", STOPPED)
    assert {"a": "down", "b": "down", "c": "down"} == driver.states()


def test_a_temporary_child_that_was_being_stopped_at_a_shutdown_is_gone() -> None:
    driver = Driver([*specs("a"), ChildSpec(id="t", restart=TEMPORARY)])
    driver.auto = False
    driver.terminate("t")
    driver.feed(ShutdownRequested())
    assert ["cancel kill t", "reply t ok", "stop a1", "set kill a 5"] == driver.exits("t", STOPPED)


def test_a_child_that_ends_by_itself_during_a_shutdown_needs_no_stop_and_no_restart() -> None:
    driver = Driver(specs("ab"))
    driver.auto = False
    driver.feed(ShutdownRequested())
    assert [] == driver.exits("a")
    assert ["cancel kill b", "report a leave", "exit shutdown"] == driver.exits("b", STOPPED)
    assert "crash (SIGSEGV), when it was about to be stopped" == driver.report().why


def test_after_the_exit_nothing_happens_any_more() -> None:
    driver = Driver(specs("a"))
    driver.feed(ShutdownRequested())
    for event in (
        ChildExited("a", 1, CRASH),
        ChildStarted("a", 1),
        ShutdownRequested(),
        SupervisorStarted(),
        TimerFired(Timer(TimerUse.KILL, "a"), 1),
    ):
        assert [] == driver.feed(event)
    assert "exited" == driver.phase


def test_a_first_start_that_fails_ends_the_supervisor_abnormally_after_the_others_are_stopped() -> None:
    driver = Driver(specs("abc"), auto=False)
    driver.started("a")
    assert ["report b escalate", "stop a1", "set kill a 5"] == driver.start_fails("b", Exit(ExitClass.FAILED, "exit 1", last_error="no"))
    driver.exits("a", STOPPED)
    assert ExitSupervisor(Exit(ExitClass.FAILED, "failed to start child b: failed (exit 1)", last_error="no")) == driver.commands[-1]
    assert {"a": "down", "b": "down", "c": "down"} == driver.states()


def test_a_child_that_exits_while_it_starts_has_failed_to_start() -> None:
    driver = Driver(specs("a"), auto=False)
    assert ["report a escalate", "exit failed"] == driver.exits("a")


def test_a_start_that_is_ignored_leaves_the_child_down_and_goes_on() -> None:
    driver = Driver([ChildSpec(id="a"), ChildSpec(id="t", restart=TEMPORARY), ChildSpec(id="b")], auto=False)
    assert ["start t1"] == driver.feed(ChildIgnored("a", 1))
    assert "its start was ignored" == driver.core.child("a").detail
    assert ["start b1"] == driver.feed(ChildIgnored("t", 1))
    driver.started("b")
    assert {"a": "down", "b": "running"} == driver.states()
    assert [] == driver.feed(ChildIgnored("b", 1))
    assert "running" == driver.states()["b"]


@pytest.mark.parametrize("policy", [{"hold": True}, {"park": True}, {"max_restarts": 3}])
def test_a_child_with_a_policy_of_its_own_may_fail_while_the_supervisor_starts(policy: dict[str, object]) -> None:
    driver = Driver([ChildSpec(id="a", **policy), ChildSpec(id="b")], auto=False)  # type: ignore[arg-type]
    assert ["start b1"] == driver.start_fails("a")
    assert {"a": "restarting", "b": "starting"} == driver.states()
    assert ["report a restart", "start a2"] == driver.started("b")
    assert 1 == driver.core.child("a").restarts


def test_a_temporary_child_with_a_policy_of_its_own_that_fails_to_start_is_forgotten() -> None:
    driver = Driver([ChildSpec(id="t", restart=TEMPORARY, hold=True), ChildSpec(id="b")], auto=False)
    assert ["report t leave", "start b1"] == driver.start_fails("t")
    assert "failed (exit 1): a temporary child is not restarted" == driver.commands[0].why
    assert {"b": "starting"} == driver.states()


def core(**lives: tuple[int, int]) -> SupervisorCore:
    return SupervisorCore(SupervisorFlags(), [ChildSpec(id="a"), ChildSpec(id="b")], lives=lives)


def test_children_go_on_counting_from_their_lives_under_an_earlier_supervisor() -> None:
    supervisor = core(a=(4, 2), stranger=(9, 9))
    assert [StartChild(ChildSpec(id="a"), 5, 2)] == supervisor.handle(SupervisorStarted(), 0.0)
    assert [StartChild(ChildSpec(id="b"), 1, 0)] == supervisor.handle(ChildStarted("a", 5), 0.0)


def test_a_child_that_is_added_goes_on_counting_as_well() -> None:
    supervisor = SupervisorCore(SupervisorFlags(), [])
    supervisor.handle(SupervisorStarted(), 0.0)
    spec = ChildSpec(id="c")
    assert [StartChild(spec, 8, 3)] == supervisor.handle(StartChildRequested("r", spec, last_incarnation=7, restarts=3), 0.0)


def test_an_id_that_comes_back_goes_on_counting_from_the_greater_of_what_is_remembered_and_what_is_reported() -> None:
    for last, incarnation in ((0, 2), (1, 2), (7, 8)):
        driver = Driver(specs("a"))
        driver.terminate("a")
        driver.delete("a")
        driver.start(ChildSpec(id="a"), last_incarnation=last)
        assert incarnation == driver.incarnation("a")


def test_a_supervisor_is_up_when_its_first_children_have_started() -> None:
    supervisor = core()
    assert not supervisor.is_up
    supervisor.handle(SupervisorStarted(), 0.0)
    supervisor.handle(ChildStarted("a", 1), 0.0)
    assert not supervisor.is_up
    supervisor.handle(ChildStarted("b", 1), 0.0)
    assert supervisor.is_up


def test_a_core_knows_its_children_whether_they_run_or_not() -> None:
    supervisor = core()
    assert (True, False) == (supervisor.knows("a"), supervisor.knows("c"))


# ---- SIGTERM to every process of the tree ----------------------------------------------------------

TERMINATED = Exit(ExitClass.SHUTDOWN, "SIGTERM", cause=CauseId.TREE_TERMINATED, signal=15)


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("restart", RestartType)
def test_what_ended_because_the_tree_is_terminated_is_not_restarted_and_takes_nothing_along(
    strategy: Strategy, restart: RestartType
) -> None:
    driver = Driver(specs("abc", restart=restart), strategy=strategy)
    assert ["report b leave"] == driver.exits("b", TERMINATED)
    assert ("running", "running") == (driver.states()["a"], driver.states()["c"])
    assert ["stop c1"] == driver.feed(ShutdownRequested())[:1]


def test_a_significant_child_that_ended_because_the_tree_is_terminated_leaves_the_order_to_the_tree() -> None:
    driver = Driver(specs("ab", restart=RestartType.TRANSIENT, significant=True), auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    assert ["report b leave"] == driver.exits("b", TERMINATED)


def test_a_supervisor_that_starts_when_the_tree_is_terminated_starts_nothing_more() -> None:
    driver = Driver(specs("abc"), auto=False)
    driver.started("a")
    assert ["report b leave", "stop a1"] == driver.start_fails("b", TERMINATED)[:2]
    assert ["cancel kill a", "exit shutdown"] == driver.exits("a", STOPPED)


# ---- whether a child comes back -----------------------------------------------------------------------


def comes_back(driver: Driver) -> str:
    return "".join(child.id for child in driver.core.children() if driver.core.comes_back(child.id))


def test_a_child_that_a_plan_or_a_timer_is_to_start_comes_back_and_one_that_is_down_does_not() -> None:
    driver = Driver(specs("abcd", backoff=Backoff(), max_restarts=1), strategy=Strategy.REST_FOR_ONE, auto=False)
    assert "abcd" == comes_back(driver)
    for child_id in "abcd":
        driver.started(child_id)
    driver.terminate("d")
    driver.exits("d", STOPPED)
    assert "abc" == comes_back(driver)
    # The first restart follows immediately, and takes along those that were started later: also `d`.
    driver.exits("b")
    driver.exits("c", STOPPED)
    assert ("abcd", "starting") == (comes_back(driver), driver.states()["b"])
    driver.started("b")
    for child_id in "cd":
        driver.started(child_id)
    driver.exits("b")
    assert ("acd", "quarantined") == (comes_back(driver), driver.states()["b"])
    assert not driver.core.comes_back("nobody")


def test_a_child_that_backs_off_comes_back_with_those_that_wait_for_it() -> None:
    driver = Driver(specs("ab", backoff=Backoff(), restart=TRANSIENT), strategy=Strategy.ONE_FOR_ALL, max_restarts=5)
    driver.exits("a")
    driver.exits("a")
    assert ("ab", "backing_off", "down") == (comes_back(driver), driver.states()["a"], driver.states()["b"])
    driver.terminate("a")
    assert "b" == comes_back(driver)
    driver.terminate("b")
    assert "" == comes_back(driver)


def test_a_child_that_is_held_does_not_come_back_when_a_plan_names_it() -> None:
    driver = Driver(specs("ab", hold=True), strategy=Strategy.ONE_FOR_ALL, max_restarts=5, auto=False)
    driver.started("a")
    driver.started("b")
    driver.exits("b", PERMANENT_FAILURE)
    driver.exits("a")
    assert ("a", "held") == (comes_back(driver), driver.states()["b"])
