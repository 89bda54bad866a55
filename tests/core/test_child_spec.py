"""Specs that can never work cannot be built."""

from typing import Any

import pytest

from suptree.actors.errors import SpecError
from suptree.supervisors.spec.child_spec import (
    BRUTAL_KILL,
    AutoShutdown,
    Backoff,
    ChildSpec,
    OnLimit,
    RestartType,
    Strategy,
    SupervisorFlags,
)


def test_the_defaults_are_otps() -> None:
    spec = ChildSpec(id="a")
    assert (RestartType.PERMANENT, 5.0, False) == (spec.restart, spec.shutdown, spec.significant)
    flags = SupervisorFlags()
    assert (Strategy.ONE_FOR_ONE, 1, 5.0, AutoShutdown.NEVER) == (flags.strategy, flags.max_restarts, flags.within, flags.auto_shutdown)


def test_the_additions_are_off_by_default() -> None:
    spec = ChildSpec(id="a")
    assert (None, None, False, False, None) == (spec.backoff, spec.max_restarts, spec.hold, spec.park, spec.quota_group)
    assert (None, 60.0) == (spec.healthy_after, spec.forgets_after)
    assert OnLimit.ESCALATE == SupervisorFlags().on_limit


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"id": ""}, "a child needs an id"),
        ({"shutdown": -1.0}, "a: shutdown must be 0 seconds or more, not -1.0"),
        ({"shutdown": float("nan")}, "a: shutdown must be 0 seconds or more, not nan"),
        ({"significant": True}, "a: a permanent child cannot be significant; make it transient or temporary"),
        ({"max_restarts": -1}, "a: max_restarts must be 0 or more, not -1"),
        ({"healthy_after": 0.0}, "a: healthy_after must be above 0 seconds, not 0.0"),
        ({"healthy_after": float("nan")}, "a: healthy_after must be above 0 seconds, not nan"),
        ({"quota_group": "g"}, "a: a quota_group needs park"),
    ],
)
def test_a_child_that_can_never_work_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError) as refused:
        ChildSpec(**{"id": "a", **fields})
    assert problem == str(refused.value)


@pytest.mark.parametrize(
    "fields",
    [{"shutdown": 0.0}, {"shutdown": BRUTAL_KILL}, {"max_restarts": 0}, {"healthy_after": 0.1}, {"quota_group": "g", "park": True}],
)
def test_what_is_just_allowed_is_allowed(fields: dict[str, Any]) -> None:
    ChildSpec(id="a", **fields)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"max_restarts": -1}, "max_restarts must be 0 or more, not -1"),
        ({"within": 0.0}, "within must be above 0 seconds, not 0.0"),
        ({"within": float("nan")}, "within must be above 0 seconds, not nan"),
    ],
)
def test_flags_that_can_never_work_are_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError) as refused:
        SupervisorFlags(**fields)
    assert problem == str(refused.value)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"base": 0.0}, "backoff: base must be above 0 and at most cap, not base=0.0 and cap=60.0"),
        ({"base": -1.0}, "backoff: base must be above 0 and at most cap, not base=-1.0 and cap=60.0"),
        ({"base": 2.0, "cap": 1.0}, "backoff: base must be above 0 and at most cap, not base=2.0 and cap=1.0"),
        ({"healthy_after": 0.0}, "backoff: healthy_after must be above 0 seconds, not 0.0"),
        ({"healthy_after": -1.0}, "backoff: healthy_after must be above 0 seconds, not -1.0"),
    ],
)
def test_a_backoff_that_can_never_work_is_refused(fields: dict[str, float], problem: str) -> None:
    with pytest.raises(SpecError) as refused:
        Backoff(**fields)
    assert problem == str(refused.value)


def test_a_backoff_may_be_as_flat_as_its_cap() -> None:
    Backoff(base=1.0, cap=1.0, healthy_after=0.5)
