"""Starts in start order, stops in reverse, one at a time, and what ends a child that does not want to stop."""

import copy
import pickle

import pytest

from suptree.actors.errors import SpecError
from suptree.actors.exits import Exit, ExitClass
from suptree.supervisors.core.core import SupervisorCore
from suptree.supervisors.decisions.core_commands import CancelTimer, ExitSupervisor, Reply, SetTimer, StartChild, StopChild
from suptree.supervisors.decisions.core_events import (
    ChildCondemned,
    ChildExited,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    ShutdownRequested,
    SupervisorStarted,
    TimerFired,
)
from suptree.supervisors.decisions.timers import Timer, TimerUse
from suptree.supervisors.spec.child_spec import BRUTAL_KILL, INFINITY, AutoShutdown, ChildSpec, Strategy, SupervisorFlags

from .driver import CRASH, FAILED, STOPPED, TEMPORARY, TRANSIENT, Driver, said, specs


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


# ---- a start that fails while the supervisor itself starts ------------------------------------------


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


# ---- a cause that was recorded ----------------------------------------------------------------------


def test_a_condemned_child_is_stopped_and_its_exit_has_the_recorded_cause() -> None:
    driver = Driver(specs("a", restart=TRANSIENT), auto=False)
    driver.started("a")
    assert ["stop a1", "set kill a 5"] == driver.feed(ChildCondemned("a", 1, ExitClass.HUNG, "silent for 10 s"))
    assert ["cancel kill a", "report a restart", "start a2"] == driver.exits("a", STOPPED)
    assert "hung (silent for 10 s)" == driver.commands[1].why
    driver.started("a")
    assert ["report a escalate"] == driver.exits("a")[:1]
    assert "crash (SIGSEGV): more than 1 restarts within 5 s" == driver.report().why


def test_a_condemned_child_that_does_not_stop_is_killed() -> None:
    driver = Driver(specs("a"), auto=False)
    driver.started("a")
    driver.feed(ChildCondemned("a", 1, ExitClass.HUNG, "silent"))
    assert ["kill a1"] == driver.pass_time(5)


def test_a_child_is_condemned_once() -> None:
    driver = Driver(specs("a"), auto=False)
    driver.started("a")
    driver.feed(ChildCondemned("a", 1, ExitClass.HUNG, "silent"))
    assert [] == driver.feed(ChildCondemned("a", 1, ExitClass.BUDGET, "too much"))
    driver.exits("a", STOPPED)
    assert "hung (silent)" == driver.report().why


def test_a_child_condemned_while_it_starts_has_failed_to_start() -> None:
    driver = Driver(specs("a", max_restarts=1), auto=False)
    assert ["stop a1", "set kill a 5"] == driver.feed(ChildCondemned("a", 1, ExitClass.STARTUP_TIMEOUT, "not ready in 30 s"))
    assert ["cancel kill a", "report a restart", "start a2"] == driver.exits("a", STOPPED)
    assert "startup_timeout (not ready in 30 s)" == driver.report().why
    assert ["stop a2", "set kill a 5"] == driver.feed(ChildCondemned("a", 2, ExitClass.STARTUP_TIMEOUT, "not ready in 30 s"))
    assert ["cancel kill a", "report a quarantine"] == driver.feed(ChildStartFailed("a", 2, STOPPED))


def test_a_condemned_child_that_ends_while_others_are_dealt_with_waits_for_its_turn() -> None:
    driver = Driver(specs("ab"))
    driver.auto = False
    driver.terminate("b")
    driver.feed(ChildCondemned("a", 1, ExitClass.HUNG, "silent"))
    assert ["cancel kill a"] == driver.exits("a", STOPPED)
    assert "stopping" == driver.states()["a"]
    assert ["cancel kill b", "reply t ok", "report a restart", "start a2"] == driver.exits("b", STOPPED)


def test_a_condemned_child_that_is_to_be_stopped_anyway_is_not_restarted() -> None:
    driver = Driver(specs("a"))
    driver.auto = False
    driver.feed(ChildCondemned("a", 1, ExitClass.HUNG, "silent"))
    assert [] == driver.feed(ShutdownRequested())
    assert ["cancel kill a", "exit shutdown"] == driver.exits("a", STOPPED)


def test_an_old_or_unknown_incarnation_cannot_be_condemned() -> None:
    driver = Driver(specs("a"))
    driver.exits("a")
    assert [] == driver.feed(ChildCondemned("a", 1, ExitClass.HUNG, "silent"))
    assert [] == driver.feed(ChildCondemned("x", 1, ExitClass.HUNG, "silent"))


# ---- stale and duplicate events ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        ChildStarted("a", 1),
        ChildStarted("a", 2),
        ChildStarted("a", 3),
        ChildStarted("x", 1),
        ChildStartFailed("a", 1, FAILED),
        ChildStartFailed("a", 2, FAILED),
        ChildStartFailed("x", 1, FAILED),
        ChildIgnored("a", 1),
        ChildIgnored("a", 2),
        ChildIgnored("x", 1),
        ChildExited("a", 1, CRASH),
        ChildExited("a", 3, CRASH),
        ChildExited("x", 1, CRASH),
        TimerFired(Timer(TimerUse.KILL, "a"), 1),
        TimerFired(Timer(TimerUse.RESUME, "a"), 1),
    ],
)
def test_an_event_that_is_late_or_comes_twice_changes_nothing(event: ChildStarted) -> None:
    driver = Driver(specs("ab"))
    driver.exits("a")
    before = driver.core.children()
    assert [] == driver.feed(event)
    assert before == driver.core.children()


def test_an_exit_that_is_reported_twice_is_handled_once() -> None:
    driver = Driver(specs("ab"))
    driver.auto = False
    driver.terminate("b")
    assert [] == driver.exits("a")
    assert [] == driver.exits("a")
    assert ["cancel kill b", "reply t ok", "report a restart", "start a2"] == driver.exits("b", STOPPED)
    assert [] == driver.started("a")


def test_a_timer_of_an_older_generation_does_nothing() -> None:
    driver = Driver(specs("ab"), auto=False)
    driver.started("a")
    driver.started("b")
    driver.terminate("a")
    old = next(c for c in driver.commands if isinstance(c, SetTimer))
    driver.exits("a", STOPPED)
    driver.restart("a")
    driver.started("a")
    driver.terminate("a")
    new = next(c for c in driver.commands if isinstance(c, SetTimer))
    assert old.timer == new.timer
    assert old.generation != new.generation
    assert [] == driver.feed(TimerFired(old.timer, old.generation))
    assert [] == driver.feed(TimerFired(new.timer, new.generation + 1))
    assert ["kill a2"] == driver.feed(TimerFired(new.timer, new.generation))
    assert [] == driver.feed(TimerFired(new.timer, new.generation))


def test_a_timer_is_known_by_its_number_after_very_many_of_them() -> None:
    driver = Driver(specs("a"))
    for _ in range(300):
        driver.terminate("a")
        driver.restart("a")
    driver.auto = False
    driver.terminate("a")
    generation = next(c for c in driver.commands if isinstance(c, SetTimer)).generation
    assert ["kill a301"] == driver.feed(TimerFired(Timer(TimerUse.KILL, "a"), int(str(generation))))


def test_timers_are_numbered_from_one() -> None:
    driver = Driver(specs("ab"), auto=False)
    driver.started("a")
    driver.started("b")
    driver.terminate("b")
    assert SetTimer(Timer(TimerUse.KILL, "b"), 1, 5.0) == driver.commands[-1]
    driver.exits("b", STOPPED)
    driver.terminate("a")
    assert SetTimer(Timer(TimerUse.KILL, "a"), 2, 5.0) == driver.commands[-1]


def test_timers_have_names_of_their_own() -> None:
    driver = Driver(specs("ab"))
    driver.auto = False
    driver.terminate("a")
    driver.exits("a", STOPPED)
    assert CancelTimer(Timer(TimerUse.KILL, "a")) == driver.commands[0]
    assert Reply("t", driver.commands[1].answer) == driver.commands[1]


# ---- what the core is ---------------------------------------------------------------------------


def test_a_core_can_be_copied_and_pickled() -> None:
    driver = Driver(specs("ab"))
    for twin in (copy.deepcopy(driver.core), pickle.loads(pickle.dumps(driver.core))):  # noqa: S301
        assert driver.core.children() == twin.children()
        assert ["start a2"] == [said(c) for c in twin.handle(ChildExited("a", 1, CRASH), 1.0)[1:]]
    assert {"a": "running", "b": "running"} == driver.states()


def test_an_incarnation_is_a_number_not_an_object() -> None:
    driver = Driver([], auto=False)
    driver.start(ChildSpec(id="a"), last_incarnation=int("1000"))
    assert ["reply s ok"] == driver.feed(ChildStarted("a", int("1001")))


def test_randomness_is_given_by_name() -> None:
    with pytest.raises(TypeError):
        SupervisorCore(SupervisorFlags(), [], min)  # type: ignore[arg-type, call-arg]


def test_a_core_can_be_read() -> None:
    flags = SupervisorFlags(max_restarts=7)
    core = SupervisorCore(flags, specs("a"))
    assert flags == core.flags
    assert "a" == core.spec("a").id
    assert 0 == core.restarts_in_window(0.0)
    with pytest.raises(KeyError):
        core.child("x")


def test_the_same_id_twice_is_refused() -> None:
    with pytest.raises(SpecError, match=r"^a: duplicate child id$"):
        SupervisorCore(SupervisorFlags(), specs("aba"))


def test_a_significant_child_needs_auto_shutdown() -> None:
    significant = ChildSpec(id="a", restart=TRANSIENT, significant=True)
    with pytest.raises(SpecError, match=r"^a: a significant child needs a supervisor with auto_shutdown$"):
        SupervisorCore(SupervisorFlags(), [significant])
    SupervisorCore(SupervisorFlags(auto_shutdown=AutoShutdown.ANY_SIGNIFICANT), [significant])
