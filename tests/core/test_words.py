"""Events, commands and what is said about them are records: built once, never changed."""

from dataclasses import FrozenInstanceError, is_dataclass
from types import ModuleType
from typing import get_args

import pytest

from suptree.supervisors.core import dry_run
from suptree.supervisors.core.plan import Aim, Plan
from suptree.supervisors.decisions import core_commands as commands
from suptree.supervisors.decisions import core_events as events
from suptree.supervisors.decisions import judge, limit_checks, timers
from suptree.supervisors.decisions.child import Child, ChildView
from suptree.supervisors.decisions.core_events import SupervisorStarted
from suptree.supervisors.spec import child_spec
from suptree.supervisors.spec.child_spec import ChildSpec


def records(module: ModuleType) -> list[type]:
    return [thing for thing in vars(module).values() if isinstance(thing, type) and is_dataclass(thing)]


@pytest.mark.parametrize("module", [events, commands, child_spec, dry_run, judge, limit_checks, timers])
def test_a_record_is_frozen_and_has_no_other_attributes(module: ModuleType) -> None:
    for record in [ChildView, *records(module)]:
        if record is not Child:
            assert getattr(record, "__dataclass_params__").frozen  # noqa: B009
            assert "__dict__" not in dir(record)


def test_every_event_and_every_command_is_a_record() -> None:
    for kind in (*get_args(events.Event), *get_args(commands.Command)):
        assert is_dataclass(kind)


def test_a_spec_is_built_by_name() -> None:
    with pytest.raises(TypeError):
        ChildSpec("a")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        child_spec.SupervisorFlags(child_spec.Strategy.ONE_FOR_ALL)  # type: ignore[call-arg]


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        setattr(SupervisorStarted(), "late", True)  # noqa: B010


def test_what_changes_has_no_attribute_that_nobody_declared() -> None:
    for record in (Child(ChildSpec(id="a")), Plan(Aim.STOP)):
        with pytest.raises(AttributeError):
            setattr(record, "condemend", True)  # noqa: B010


def test_what_is_not_said_is_nothing_out_of_the_ordinary() -> None:
    spec = ChildSpec(id="a")
    assert events.StartChildRequested("r", spec, last_incarnation=0, restarts=0) == events.StartChildRequested("r", spec)
    assert events.TerminateChildRequested("r", "a", graceful=True) == events.TerminateChildRequested("r", "a")
    leave = commands.Decision.LEAVE
    assert commands.Report("a", 1, leave, "why", delay=0.0, affected=(), restarts_left=None) == commands.Report("a", 1, leave, "why")


def test_a_new_child_has_no_past_and_a_new_plan_has_not_begun() -> None:
    spec = ChildSpec(id="a")
    assert Child(spec, incarnation=0, restarts=0, in_a_row=0, alike=0) == Child(spec)
    assert Plan(Aim.STOP, current=None, stopping=False, graceful=True, counts=False, new=False) == Plan(Aim.STOP)
