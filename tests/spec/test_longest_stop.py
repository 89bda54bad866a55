"""How long the stop of a tree can take, from its specs."""

from suptree.supervisors.config.child_from_config import agent_child_from_config
from suptree.supervisors.spec.child_spec import BRUTAL_KILL, INFINITY, ChildSpec
from suptree.supervisors.spec.longest_stop import longest_stop
from suptree.supervisors.spec.tree_spec import SupervisorSpec


def supervisor(*children: ChildSpec, shutdown: float = INFINITY) -> ChildSpec:
    return ChildSpec(id="s", shutdown=shutdown, start=SupervisorSpec(id="s", children=children))


def test_children_stop_one_after_the_other_at_any_depth() -> None:
    agents = [ChildSpec(id=name, shutdown=seconds) for name, seconds in (("a", 7.0), ("b", 5.0), ("c", 3.0))]

    assert 15.0 == longest_stop(SupervisorSpec(id="root", children=(agents[0], supervisor(*agents[1:]))))


def test_a_child_that_is_killed_takes_no_time_and_a_supervisor_no_more_than_its_shutdown() -> None:
    killed, slow = ChildSpec(id="a", shutdown=BRUTAL_KILL), ChildSpec(id="b", shutdown=100.0)

    assert 4.0 == longest_stop(SupervisorSpec(id="root", children=(killed, supervisor(slow, shutdown=4.0))))


def test_an_agent_takes_its_stop_ladder_and_its_hooks() -> None:
    config = {"command": "sleep", "stop": {"cancel": 1, "sigint": 2, "sigterm": 3}, "hooks": {"pre_stop": ["true"], "timeout": 4}}
    agent = agent_child_from_config("a", "process_wrapper", config, "/")

    assert 10.0 < longest_stop(SupervisorSpec(id="root", children=(agent,))) < 20.0
