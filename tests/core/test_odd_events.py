"""What the core makes of a recorded cause, of events that are late or come twice, and what may be done with it."""

import copy
import pickle

import pytest

from suptree.actors.errors import SpecError
from suptree.actors.exits import ExitClass
from suptree.supervisors.core.core import SupervisorCore
from suptree.supervisors.decisions.core_commands import CancelTimer, Reply, SetTimer
from suptree.supervisors.decisions.core_events import (
    ChildCondemned,
    ChildExited,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    ShutdownRequested,
    TimerFired,
)
from suptree.supervisors.decisions.timers import Timer, TimerUse
from suptree.supervisors.spec.child_spec import AutoShutdown, ChildSpec, SupervisorFlags

from .driver import CRASH, FAILED, STOPPED, TRANSIENT, Driver, said, specs


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
