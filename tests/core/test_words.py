"""Events, commands and what is said about them are records: built once, never changed."""

from dataclasses import FrozenInstanceError, is_dataclass
from types import ModuleType

import pytest

from suptree.supervisors import child_spec, commands, dry_run, events, judge
from suptree.supervisors.child import Child, ChildView
from suptree.supervisors.child_spec import ChildSpec
from suptree.supervisors.events import SupervisorStarted


def records(module: ModuleType) -> list[type]:
    return [thing for thing in vars(module).values() if isinstance(thing, type) and is_dataclass(thing)]


@pytest.mark.parametrize("module", [events, commands, child_spec, dry_run, judge])
def test_a_record_is_frozen_and_has_no_other_attributes(module: ModuleType) -> None:
    for record in [ChildView, *records(module)]:
        if record is not Child:
            assert getattr(record, "__dataclass_params__").frozen  # noqa: B009
            assert "__dict__" not in dir(record)


def test_a_spec_is_built_by_name() -> None:
    with pytest.raises(TypeError):
        ChildSpec("a")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        child_spec.SupervisorFlags(child_spec.Strategy.ONE_FOR_ALL)  # type: ignore[call-arg]


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        setattr(SupervisorStarted(), "late", True)  # noqa: B010
