"""Limits that could never be exceeded, or that are exceeded too early to be of use."""

from typing import Any

import pytest

from suptree.actors.errors import SpecError
from suptree.supervisors.core.core import SupervisorCore
from suptree.supervisors.decisions.limit_checks import check_limits, gives_up_before_hold, most_crashes
from suptree.supervisors.spec.child_spec import Backoff, ChildSpec, OnLimit, RestartType, SupervisorFlags

from .driver import Driver, specs


@pytest.mark.parametrize(
    ("max_restarts", "within", "fits"),
    [(1, 0.1, True), (2, 0.5, True), (2, 0.4, False), (4, 3.5, True), (4, 3.4, False), (5, 5.0, False), (5, 7.5, True)],
)
def test_a_limit_that_a_crash_loop_could_never_exceed_is_refused(max_restarts: int, within: float, fits: bool) -> None:
    flags = SupervisorFlags(max_restarts=max_restarts, within=within)
    if fits:
        check_limits(flags, specs("a", backoff=Backoff()))
    else:
        with pytest.raises(SpecError):
            check_limits(flags, specs("a", backoff=Backoff()))


def test_the_refusal_explains_itself() -> None:
    with pytest.raises(SpecError) as refused:
        SupervisorCore(SupervisorFlags(max_restarts=5), specs("a", backoff=Backoff()))
    assert (
        "a: the limit of 5 restarts within 5 s could never be exceeded: with such a backoff its crash loop asks for 5 in that time at most;"
        " allow fewer restarts, widen `within`, or shorten the backoff"
    ) == str(refused.value)
    with pytest.raises(SpecError) as refused:
        SupervisorCore(SupervisorFlags(max_restarts=12), specs("ab", backoff=Backoff()))
    assert (
        "a: the limit of 12 restarts within 5 s could never be exceeded: with such a backoff the crash loops of all 2 children together ask"
        " for 10 in that time at most; allow fewer restarts, widen `within`, or shorten the backoff"
    ) == str(refused.value)


@pytest.mark.parametrize(("children", "fits"), [(1, False), (6, False), (7, True), (50, True)])
def test_a_limit_is_not_refused_that_many_children_exceed_together(children: int, fits: bool) -> None:
    # Each crashes 8 times in a minute: after 0, 0.5, 1, 2, 4, 8, 16 s and so on, in sum.
    flags = SupervisorFlags(max_restarts=50, within=60.0)
    assert 8 == most_crashes(Backoff(), 60.0)
    if fits:
        SupervisorCore(flags, specs(map(str, range(children)), backoff=Backoff()))
    else:
        with pytest.raises(SpecError):
            SupervisorCore(flags, specs(map(str, range(children)), backoff=Backoff()))


def test_a_limit_is_not_refused_that_one_child_without_a_backoff_exceeds() -> None:
    flags = SupervisorFlags(max_restarts=50, within=60.0)
    SupervisorCore(flags, [*specs("a", backoff=Backoff()), *specs("b")])
    driver = Driver(specs("b"), max_restarts=50, within=60.0)
    assert ["start a1", "reply s ok"] == driver.start(ChildSpec(id="a", backoff=Backoff()))


@pytest.mark.parametrize(
    ("backoff", "within", "expected"),
    [
        (Backoff(base=1.0, cap=1.0), 0.0, 1 + 1),
        (Backoff(base=1.0, cap=1.0), 0.4, 2),
        (Backoff(base=1.0, cap=1.0), 0.5, 3),
        (Backoff(base=1.0, cap=1.0), 10.0, 22),
        (Backoff(base=1.0, cap=4.0), 100.0, 5 + 48),
        (Backoff(base=1e-9, cap=1e300), 1.0, 32),
        (Backoff(base=5e-324, cap=5e-324), 1e6, 3 + 10**18),
    ],
)
def test_a_crash_loop_is_counted_without_walking_through_it(backoff: Backoff, within: float, expected: int) -> None:
    assert expected == most_crashes(backoff, within)


@pytest.mark.parametrize(
    ("fields", "flags", "expected"),
    [
        ({}, {}, True),
        ({"backoff": Backoff()}, {}, True),
        ({}, {"max_restarts": 0}, True),
        ({}, {"max_restarts": 2}, False),
        ({}, {"max_restarts": 3}, False),
        ({}, {"on_limit": OnLimit.QUARANTINE}, False),
        ({"hold": False}, {}, False),
        ({"max_restarts": 1}, {}, False),
        ({"restart": RestartType.TEMPORARY}, {}, False),
        ({"restart": RestartType.TRANSIENT}, {}, True),
    ],
)
def test_a_supervisor_that_gives_up_before_a_hold_is_known_beforehand(
    fields: dict[str, Any], flags: dict[str, Any], expected: bool
) -> None:
    spec = ChildSpec(**{"id": "a", "hold": True, **fields})
    assert expected == gives_up_before_hold(SupervisorFlags(**flags), spec)
    driver = Driver([spec], **flags)
    for _ in range(3):
        if driver.states().get("a") == "running":
            driver.exits("a")
            driver.pass_time(1)
    assert not spec.hold or expected == (driver.phase == "exited")


@pytest.mark.parametrize("fields", [{"backoff": None}, {"max_restarts": 3}, {"restart": RestartType.TEMPORARY}])
def test_a_limit_is_not_refused_for_a_child_that_it_does_not_govern(fields: dict[str, object]) -> None:
    flags = SupervisorFlags(max_restarts=100, within=1.0)
    check_limits(flags, specs("a", **{"backoff": Backoff(), **fields}))


@pytest.mark.parametrize("fields", [{"max_restarts": 3}, {"restart": RestartType.TEMPORARY}])
def test_a_limit_is_refused_beside_children_that_it_does_not_govern(fields: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        check_limits(SupervisorFlags(max_restarts=100, within=1.0), [*specs("a", **fields), *specs("b", backoff=Backoff())])
