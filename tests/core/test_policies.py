"""Quarantine, hold and fingerprints: when a child stays down and its siblings are left alone."""

from signal import SIGKILL
from typing import Any

import pytest

from suptree.actors.exits import CauseId, Exit, ExitClass
from suptree.supervisors.decisions.child import TRANSITIONS, Child, ChildState, Step
from suptree.supervisors.decisions.core_commands import Decision
from suptree.supervisors.decisions.fingerprint import ALIKE_LIMIT, fingerprint, normalise
from suptree.supervisors.decisions.rules import OWN_RULES, has_rules_of_its_own
from suptree.supervisors.spec.child_spec import Backoff, ChildSpec, Strategy

from .driver import CRASH, FAILED, NORMAL, PERMANENT_FAILURE, QUOTA, STOPPED, TEMPORARY, Driver, specs

LENIENT: dict[str, Any] = {"max_restarts": 50}


def died(last_error: str | None, reason: str = "exit 1", exit_class: ExitClass = ExitClass.FAILED) -> Exit:
    return Exit(exit_class, reason, last_error=last_error)


# ---- a limit of its own -----------------------------------------------------------------------------


def test_a_child_with_a_limit_is_started_once_more_than_that_and_then_quarantined() -> None:
    driver = Driver([*specs("a", max_restarts=2), *specs("b")])
    assert ["report a restart", "start a2"] == driver.exits("a")
    assert 1 == driver.report().restarts_left
    assert ["report a restart", "start a3"] == driver.exits("a")
    assert ["report a quarantine"] == driver.exits("a")
    assert 0 == driver.report().restarts_left
    assert "crash (SIGSEGV): it exceeded its own limit of 2 restarts" == driver.report().why == driver.core.child("a").detail
    assert {"a": "quarantined", "b": "running"} == driver.states()


def test_a_limit_of_its_own_is_not_charged_to_the_supervisor() -> None:
    driver = Driver(specs("a", max_restarts=9))
    for left in range(8, -1, -1):
        driver.exits("a")
        assert left == driver.report().restarts_left
    assert 0 == driver.core.restarts_in_window(0)


def test_a_large_limit_holds_as_well() -> None:
    driver = Driver(specs("a", max_restarts=int("300")))
    given = [driver.exits("a")[0] for _ in range(301)]
    assert ["report a restart"] * 300 + ["report a quarantine"] == given


def test_no_restart_at_all_can_be_allowed() -> None:
    driver = Driver(specs("a", max_restarts=0))
    assert ["report a quarantine"] == driver.exits("a")


def test_failed_starts_count_against_the_limit() -> None:
    driver = Driver(specs("a", max_restarts=1), auto=False)
    assert ["report a restart", "start a2"] == driver.start_fails("a")
    assert ["report a quarantine"] == driver.start_fails("a")


def test_a_person_can_start_a_quarantined_child_but_its_limit_stays_used_up() -> None:
    driver = Driver(specs("a", max_restarts=1))
    driver.exits("a")
    driver.exits("a")
    assert ["start a3", "reply r ok"] == driver.restart("a")
    assert 1 == driver.core.child("a").restarts
    assert ["report a quarantine"] == driver.exits("a")


def test_the_restarts_are_kept_over_terminate_and_restart() -> None:
    driver = Driver(specs("a", max_restarts=1))
    driver.exits("a")
    driver.terminate("a")
    driver.restart("a")
    assert 1 == driver.core.child("a").restarts
    assert ["report a quarantine"] == driver.exits("a")


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, 60.0),
        ({"healthy_after": 10.0}, 10.0),
        ({"healthy_after": 3600.0}, 3600.0),
        ({"backoff": Backoff(healthy_after=10.0)}, 10.0),
        ({"backoff": Backoff(), "healthy_after": 5.0}, 5.0),
    ],
)
def test_health_gives_the_limit_back(fields: dict[str, Any], seconds: float) -> None:
    for lived, decision in ((seconds - 0.1, "quarantine"), (seconds, "restart")):
        driver = Driver(specs("a", max_restarts=1, **fields))
        driver.exits("a")
        driver.pass_time(lived)
        assert f"report a {decision}" == driver.exits("a")[0]


def test_a_crash_a_month_never_ends_a_child_with_a_limit_of_its_own() -> None:
    driver = Driver(specs("a", max_restarts=3))
    for month in range(24):
        driver.pass_time(30 * 86_400)
        assert ["report a restart", f"start a{month + 2}"] == driver.exits("a")
        assert 2 == driver.report().restarts_left
    assert 24 == driver.core.child("a").restarts


def test_a_start_that_fails_forgets_nothing_however_long_it_takes() -> None:
    driver = Driver(specs("a", max_restarts=1), auto=False)
    driver.start_fails("a")
    driver.pass_time(600)
    assert ["report a quarantine"] == driver.start_fails("a")


def test_a_quarantined_child_can_be_terminated_deleted_and_distinguished() -> None:
    driver = Driver(specs("ab", max_restarts=0))
    driver.exits("a")
    assert ["reply t ok"] == driver.terminate("a")
    assert "quarantined" == driver.states()["a"]
    assert ["reply s already_present"] == driver.start(ChildSpec(id="a"))
    assert ["reply d ok"] == driver.delete("a")


def test_a_group_restart_does_not_revive_who_waits_for_a_person() -> None:
    driver = Driver([*specs("a"), *specs("b", max_restarts=0), *specs("c")], strategy=Strategy.REST_FOR_ONE)
    driver.exits("b")
    assert {"a": "running", "b": "quarantined", "c": "running"} == driver.states()
    assert ["report a restart", "stop c1", "start a2", "start c2"] == [w for w in driver.exits("a") if "kill" not in w]
    assert "quarantined" == driver.states()["b"]


# ---- hold -------------------------------------------------------------------------------------------


def test_an_exit_that_a_restart_cannot_fix_is_held() -> None:
    driver = Driver(specs("ab", hold=True))
    assert ["report a hold"] == driver.exits("a", PERMANENT_FAILURE)
    assert 0.0 == driver.report().delay
    assert "a restart cannot help: exit 127" == driver.report().why == driver.core.child("a").detail
    assert {"a": "held", "b": "running"} == driver.states()
    assert [] == driver.pass_time(10_000)


def test_without_hold_such_an_exit_is_like_any_other() -> None:
    driver = Driver(specs("a"))
    assert ["report a restart", "start a2"] == driver.exits("a", PERMANENT_FAILURE)


def test_a_first_start_that_a_restart_cannot_fix_is_held_and_the_others_start() -> None:
    driver = Driver([*specs("a", hold=True), *specs("b")], strategy=Strategy.ONE_FOR_ALL, auto=False)
    assert ["report a hold", "start b1"] == driver.start_fails("a", PERMANENT_FAILURE)


def test_a_held_child_can_be_started_by_a_person() -> None:
    driver = Driver(specs("a", hold=True))
    driver.exits("a", PERMANENT_FAILURE)
    assert ["start a2", "reply r ok"] == driver.restart("a")
    assert ("running", "") == (driver.core.child("a").state.value, driver.core.child("a").detail)


def test_a_temporary_child_is_never_held() -> None:
    driver = Driver(specs("a", hold=True, restart=TEMPORARY))
    assert ["report a leave"] == driver.exits("a", PERMANENT_FAILURE)


# ---- fingerprint ------------------------------------------------------------------------------------


def test_three_failures_alike_are_held_not_tried_a_fourth_time() -> None:
    driver = Driver(specs("a", hold=True), **LENIENT)
    driver.exits("a", died("line 17: no such model (pid 4711)"))
    driver.exits("a", died("line 18: no such model (pid 5000)"))
    assert ["report a hold"] == driver.exits("a", died("line 17: no such model (pid 17)"))
    why = "it failed 3 times running in the same way: failed: line 17: no such model (pid 17)"
    assert why == driver.report().why


def test_a_reason_that_names_sigkill_is_held_as_any_other() -> None:
    driver = Driver(specs("a", hold=True), **LENIENT)
    assert ["restart", "restart", "hold"] == [
        driver.exits("a", died(None, "ValueError: the model was ended by SIGKILL"))[0].rpartition(" ")[2] for _ in range(3)
    ]


@pytest.mark.parametrize(
    "third",
    [died("something else"), died("no", exit_class=ExitClass.CRASH), NORMAL, Exit(ExitClass.EXTERNAL, "SIGTERM", last_error="no")],
)
def test_a_different_end_begins_a_new_series(third: Exit) -> None:
    driver = Driver(specs("a", hold=True), **LENIENT)
    given = [driver.exits("a", exit_)[0] for exit_ in (died("no"), died("no"), third, died("no"), died("no"), died("no"))]
    assert ["report a restart"] * 5 + ["report a hold"] == given


def test_without_hold_failures_alike_are_restarted() -> None:
    driver = Driver(specs("a"), **LENIENT)
    for _ in range(9):
        assert "report a restart" == driver.exits("a", died("no"))[0]


@pytest.mark.parametrize(("seconds", "decision"), [(59, "hold"), (60, "restart")])
def test_a_minute_of_life_ends_a_series(seconds: float, decision: str) -> None:
    driver = Driver(specs("a", hold=True), **LENIENT)
    driver.exits("a", died("no"))
    driver.exits("a", died("no"))
    driver.pass_time(seconds)
    assert f"report a {decision}" == driver.exits("a", died("no"))[0]


def test_failed_starts_alike_are_held_too() -> None:
    driver = Driver(specs("a", hold=True), auto=False, **LENIENT)
    driver.start_fails("a")
    driver.start_fails("a")
    assert ["report a hold"] == driver.start_fails("a")


def test_a_person_who_starts_it_begins_a_new_series() -> None:
    driver = Driver(specs("a", hold=True), **LENIENT)
    for _ in range(3):
        driver.exits("a", died("no"))
    driver.restart("a")
    assert ["report a restart", "start a5"] == driver.exits("a", died("no"))
    driver.exits("a", died("no"))
    assert ["report a hold"] == driver.exits("a", died("no"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("at 2024-05-01T10:00:00Z: no", "at 2025-06-02 11:30:59.123+02:00: no"),
        ("at 2024-05-01 10:00: no", "at 2024-05-01T10:00:01,5 +0100: no"),
        ("10:00:00 no", "23:59:59.999 no"),
        ("<object at 0x7f00dead>", "<object at 0xBEEF>"),
        ("job 123e4567-e89b-12d3-a456-426614174000", "job FFFFFFFF-0000-0000-0000-000000000000"),
        ("/proc/123/fd", "/proc/4567/fd"),
        ("too  many\tspaces ", "too many spaces"),
        ("worker3 of 10", "worker4 of 12"),
    ],
)
def test_what_changes_from_run_to_run_is_normalised_away(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("at 2024-05-01T10:00:00Z: no", "at <time>: no"),
        ("at 10:00:00.5 no", "at <time> no"),
        ("<object at 0x7f00dead>", "<object at <address>>"),
        ("job 123e4567-e89b-12d3-a456-426614174000.", "job <uuid>."),
        ("  /proc/123/fd  ", "/proc/<n>/fd"),
        ("exit 127", "exit 127"),
        ("exit 1 after 20 s", "exit 1 after <n> s"),
    ],
)
def test_what_stays_tells_failures_apart(text: str, normal: str) -> None:
    assert normal == normalise(text)


@pytest.mark.parametrize(
    ("exit_", "mark"),
    [
        (died("no 5"), "failed: no <n>"),
        (died(None, "exit 3"), "failed: exit 3"),
        (died("", "ValueError: 7"), "failed: ValueError: <n>"),
        (CRASH, "crash: SIGSEGV"),
        (Exit(ExitClass.CRASH, "SIGKILL", last_error="ready", signal=SIGKILL), None),
        (Exit(ExitClass.CRASH, "SIGKILL", last_error="ready", signal=9), None),
        (died(None, "RuntimeError: my helper got SIGKILL"), "failed: RuntimeError: my helper got SIGKILL"),
        (Exit(ExitClass.EXTERNAL, "SIGTERM", last_error="no"), None),
        (NORMAL, None),
        (STOPPED, None),
    ],
)
def test_a_fingerprint_is_class_and_last_error_or_else_reason_unless_the_exit_says_nothing(exit_: Exit, mark: str | None) -> None:
    assert mark == fingerprint(exit_)


# ---- the tables -------------------------------------------------------------------------------------


def test_the_first_rule_that_applies_decides() -> None:
    assert [Decision.PARK, Decision.HOLD, Decision.HOLD, Decision.QUARANTINE] == [decision for _, decision in OWN_RULES]
    driver = Driver(specs("a", park=True, hold=True, max_restarts=0))
    assert "report a park" == driver.exits("a", QUOTA)[0]
    driver = Driver(specs("a", hold=True, max_restarts=0))
    assert "report a hold" == driver.exits("a", PERMANENT_FAILURE)[0]
    assert "report a quarantine" == Driver(specs("a", hold=True, max_restarts=0)).exits("a", FAILED)[0]


@pytest.mark.parametrize("exit_class", list(ExitClass))
def test_a_shortage_says_nothing_against_a_child(exit_class: ExitClass) -> None:
    assert fingerprint(Exit(exit_class, "x", cause=CauseId.SHORTAGE)) is None


@pytest.mark.parametrize("exit_class", list(ExitClass))
def test_one_exit_class_is_parked_one_is_held_and_three_say_nothing_against_a_child(exit_class: ExitClass) -> None:
    exit_, child = Exit(exit_class, "x"), Child(ChildSpec(id="a", park=True, hold=True))
    decisions = [decision for rule, decision in OWN_RULES if rule(child, exit_)]
    assert {ExitClass.QUOTA: [Decision.PARK], ExitClass.PERMANENT: [Decision.HOLD]}.get(exit_class, []) == decisions
    harmless = (ExitClass.NORMAL, ExitClass.SHUTDOWN, ExitClass.EXTERNAL)
    assert (None if exit_class in harmless else f"{exit_class}: x") == fingerprint(exit_)


@pytest.mark.parametrize(
    ("beyond", "decisions"), [(-1, []), (0, [Decision.HOLD, Decision.QUARANTINE]), (1, [Decision.HOLD, Decision.QUARANTINE])]
)
def test_a_limit_is_a_limit_also_to_those_who_are_beyond_it(beyond: int, decisions: list[Decision]) -> None:
    child = Child(ChildSpec(id="a", hold=True, max_restarts=5), alike=ALIKE_LIMIT + beyond, in_a_row=5 + beyond)
    assert decisions == [decision for rule, decision in OWN_RULES if rule(child, FAILED)]


def test_a_bare_child_has_no_rules_of_its_own() -> None:
    policies: list[dict[str, Any]] = [{"hold": True}, {"park": True}, {"max_restarts": 0}]
    assert [False, False] == [has_rules_of_its_own(spec) for spec in (ChildSpec(id="a"), ChildSpec(id="a", backoff=Backoff()))]
    assert [True, True, True] == [has_rules_of_its_own(ChildSpec(id="a", **policy)) for policy in policies]


def test_a_step_that_the_table_does_not_hold_cannot_be_taken() -> None:
    for state in ChildState:
        for step in Step:
            child = Child(ChildSpec(id="a"), state=state)
            if step in TRANSITIONS[state]:
                child.move(step)
                assert TRANSITIONS[state][step] == child.state
            else:
                with pytest.raises(KeyError):
                    child.move(step)
