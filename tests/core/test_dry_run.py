"""What the forecast says is what then happens."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suptree.actors.exits import Exit, ExitClass
from suptree.supervisors.core.dry_run import Action, Verb, escalation, forecast
from suptree.supervisors.decisions.core_commands import Decision, Report
from suptree.supervisors.decisions.core_events import ChildCondemned, ShutdownRequested
from suptree.supervisors.spec.child_spec import BRUTAL_KILL, Backoff, ChildSpec, OnLimit, RestartType, Strategy

from .driver import CRASH, NORMAL, PERMANENT_FAILURE, QUOTA, Driver, specs


def forecast_of(driver: Driver, child_id: str, exit_: Exit = CRASH) -> list[str]:
    return [str(action) for action in forecast(driver.core, child_id, exit_, driver.now).actions]


def test_the_ordered_actions_of_a_group_restart_are_forecast() -> None:
    driver = Driver(specs("abc"), strategy=Strategy.ONE_FOR_ALL)
    assert ["stop c", "stop a", "start a", "start b", "start c"] == forecast_of(driver, "b")


def test_asking_changes_nothing() -> None:
    driver = Driver(specs("abc"), strategy=Strategy.ONE_FOR_ALL)
    before = driver.core.children()
    forecast_of(driver, "b")
    assert before == driver.core.children()
    assert 0 == driver.core.restarts_in_window(0)


def test_the_decision_and_the_restarts_left_are_forecast() -> None:
    report = forecast(Driver(specs("a"), max_restarts=3).core, "a", CRASH, 0.0).report
    assert (Decision.RESTART, "crash (SIGSEGV)", 2) == (report.decision, report.why, report.restarts_left)


def test_an_end_that_waits_for_its_turn_is_taken_in_first() -> None:
    driver = Driver(specs("abc"), max_restarts=5)
    driver.auto = False
    driver.exits("b")
    driver.feed(ChildCondemned("a", 1, ExitClass.HUNG, "silent"))
    driver.exits("a")
    assert ["start c"] == forecast_of(driver, "c")


def test_a_wait_is_forecast() -> None:
    driver = Driver(specs("ab", backoff=Backoff()), strategy=Strategy.ONE_FOR_ALL, max_restarts=5, within=100.0)
    driver.exits("a")
    assert ["wait 1 s for a", "stop b", "start a", "start b"] == forecast_of(driver, "a")
    assert "wait 1.23 s for a" == str(Action(Verb.WAIT, "a", 1.234))


def test_waits_end_in_order() -> None:
    driver = Driver(specs("abc", park=True, quota_group="g"), uniform=iter_uniform([3.0, 1.0, 2.0]))
    wanted = ["wait 63 s for a", "wait 61 s for b", "wait 62 s for c", "stop c", "stop b", "start b", "start c", "start a"]
    assert wanted == forecast_of(driver, "a", QUOTA)


def test_the_report_is_about_the_child_itself() -> None:
    driver = Driver(specs("abc", park=True, quota_group="g"))
    assert "b" == forecast(driver.core, "b", QUOTA, 0.0).report.id
    assert 0.0 == Action(Verb.STOP, "a").delay


class iter_uniform:  # noqa: N801
    """The given numbers above the lowest, in turn."""

    def __init__(self, numbers: list[float]) -> None:
        self.numbers = numbers

    def __call__(self, low: float, _high: float) -> float:
        return low + self.numbers.pop(0)


def test_a_brutal_kill_is_forecast() -> None:
    driver = Driver(specs("ab", shutdown=BRUTAL_KILL), strategy=Strategy.ONE_FOR_ALL)
    assert ["kill b", "start a", "start b"] == forecast_of(driver, "a")


def test_a_hold_is_forecast() -> None:
    driver = Driver(specs("a", hold=True))
    forecast_ = forecast(driver.core, "a", PERMANENT_FAILURE, 0.0)
    assert ((), Decision.HOLD, None) == (forecast_.actions, forecast_.report.decision, forecast_.last_words)


def test_what_is_in_progress_is_taken_to_end_well_first() -> None:
    driver = Driver(specs("abc"), auto=False)
    driver.started("a")
    assert ["start a"] == forecast_of(driver, "a")
    driver.started("b")
    driver.started("c")
    driver.terminate("b")
    assert ["start a"] == forecast_of(driver, "a")


def test_a_child_that_does_not_run_cannot_end() -> None:
    driver = Driver(specs("a"))
    driver.terminate("a")
    with pytest.raises(ValueError, match="a does not run: it is down"):
        forecast(driver.core, "a", CRASH, 0.0)
    with pytest.raises(KeyError):
        forecast(driver.core, "x", CRASH, 0.0)


def test_how_far_it_escalates_is_forecast() -> None:
    writers = Driver(specs("ab"), max_restarts=0)
    root = Driver(specs("w", restart=RestartType.PERMANENT))
    top = Driver(specs("r"))
    path = [(writers.core, "a"), (root.core, "w"), (top.core, "r")]
    forecasts = escalation(path, CRASH, 0.0)
    assert [["stop b", "exit"], ["start w"]] == [[str(a) for a in f.actions] for f in forecasts]
    assert [Decision.ESCALATE, Decision.RESTART] == [f.report.decision for f in forecasts]
    assert forecasts[0].last_words is not None
    assert ExitClass.SHUTDOWN == forecasts[0].last_words.exit_class
    assert 1 == len(escalation(path, CRASH, 0.0)[:1])


def test_a_transient_supervisor_that_gives_up_is_not_restarted() -> None:
    writers = Driver(specs("a"), max_restarts=0)
    root = Driver(specs("w", restart=RestartType.TRANSIENT))
    forecasts = escalation([(writers.core, "a"), (root.core, "w")], CRASH, 0.0)
    assert [Decision.ESCALATE, Decision.LEAVE] == [f.report.decision for f in forecasts]


def test_an_escalation_that_reaches_the_top_ends_there() -> None:
    driver = Driver(specs("a"), max_restarts=0)
    assert 1 == len(escalation([(driver.core, "a")], CRASH, 0.0))


def test_after_the_shutdown_the_forecast_is_empty() -> None:
    driver = Driver(specs("a"))
    driver.feed(ShutdownRequested())
    with pytest.raises(ValueError, match="down"):
        forecast(driver.core, "a", CRASH, 0.0)


quotas: st.SearchStrategy[dict[str, Any]] = st.sampled_from([{}, {"park": True}, {"park": True, "quota_group": "g"}])


@st.composite
def trees(draw: st.DrawFn) -> Driver:
    """A tree that has been through something."""
    children = [
        ChildSpec(
            id=child_id,
            restart=draw(st.sampled_from(list(RestartType))),
            shutdown=draw(st.one_of(st.just(5.0), st.just(BRUTAL_KILL))),
            backoff=draw(st.sampled_from([None, Backoff(base=0.01, cap=0.02)])),
            max_restarts=draw(st.sampled_from([None, 1])),
            hold=draw(st.booleans()),
            **draw(quotas),
        )
        for child_id in "abcd"[: draw(st.integers(1, 4))]
    ]
    flags: dict[str, Any] = {
        "strategy": draw(st.sampled_from(list(Strategy))),
        "max_restarts": draw(st.integers(0, 3)),
        "on_limit": draw(st.sampled_from(list(OnLimit))),
    }
    driver = Driver(children, uniform=None, **flags)
    for child_id in draw(st.lists(st.sampled_from("abcd"), max_size=3)):
        if driver.states().get(child_id) == "running":
            driver.exits(child_id, draw(st.sampled_from([CRASH, NORMAL])))
    return driver


@given(driver=trees(), child_id=st.sampled_from("abcd"), exit_=st.sampled_from([CRASH, NORMAL, QUOTA, PERMANENT_FAILURE]))
@settings(max_examples=200, deadline=None)
def test_the_crash_then_does_exactly_what_the_forecast_said(driver: Driver, child_id: str, exit_: Exit) -> None:
    if driver.states().get(child_id) != "running":
        return
    set_before = dict(driver.timers)
    predicted = forecast(driver.core, child_id, exit_, driver.now)
    done = driver.exits(child_id, exit_)
    reports = [c for c in driver.commands if isinstance(c, Report)]
    while new := {name: timer for name, timer in driver.timers.items() if set_before.get(name) != timer}:
        driver.now, fired = min(new.values(), key=lambda timer: timer[0])
        del driver.timers[fired.timer]
        done += driver.feed(fired)
    verbs = [word for word in done if word.split()[0] in ("stop", "kill", "start", "exit")]
    expected = [str(action) for action in predicted.actions if action.verb is not Verb.WAIT]
    assert expected == [word.split()[0] if word.startswith("exit") else word.rstrip("0123456789") for word in verbs]
    assert predicted.report == reports[0]


def test_a_question_is_given_up_when_what_goes_on_takes_too_many_steps() -> None:
    driver = Driver(specs("abc"), auto=False)
    for child_id in "abc":
        driver.started(child_id)
    driver.terminate("b")
    for number in range(199):
        driver.terminate("a", f"t{number}")
        driver.restart("a", f"r{number}")
    assert Decision.RESTART is forecast(driver.core, "a", CRASH, 0.0).report.decision
    driver.terminate("a", "one more")
    with pytest.raises(ValueError, match=r"^what its supervisor is in the middle of has not come to an end after 400 steps$"):
        forecast(driver.core, "a", CRASH, 0.0)
    assert 0.0 == driver.core.now
