"""Which siblings a restart takes along."""

import pytest

from suptree.supervisors.decisions.strategy import restarts_siblings, taken_along
from suptree.supervisors.spec.child_spec import Strategy


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, {"a": ("a",), "b": ("b",), "c": ("c",)}),
        (Strategy.ONE_FOR_ALL, {"a": ("a", "b", "c"), "b": ("a", "b", "c"), "c": ("a", "b", "c")}),
        (Strategy.REST_FOR_ONE, {"a": ("a", "b", "c"), "b": ("b", "c"), "c": ("c",)}),
    ],
)
def test_a_strategy_says_which_siblings_a_restart_takes_along(strategy: Strategy, expected: dict[str, tuple[str, ...]]) -> None:
    assert expected == {child_id: taken_along(strategy, "abc", child_id) for child_id in "abc"}


def test_only_one_for_one_leaves_the_siblings_alone() -> None:
    assert [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE] == [strategy for strategy in Strategy if restarts_siblings(strategy)]
