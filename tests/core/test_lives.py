"""Ids that lived before, and what a core tells of itself."""

from suptree.supervisors.core.core import SupervisorCore
from suptree.supervisors.decisions.core_commands import StartChild
from suptree.supervisors.decisions.core_events import ChildStarted, StartChildRequested, SupervisorStarted
from suptree.supervisors.spec.child_spec import ChildSpec, SupervisorFlags

from .driver import Driver, specs


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
