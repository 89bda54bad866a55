"""Random trees under random events do on our core what they do on Erlang/OTP."""

import pathlib
import random
from typing import Any

import pytest

from .reference import HAS_ERLANG, Scenario, ask_erlang, events_term, trace, tree_term

pytestmark = pytest.mark.skipif(not HAS_ERLANG, reason="needs Erlang")

COUNT = 4000
EVENTS = ["exit"] * 8 + ["terminate_child", "restart_child"] * 2 + ["delete_child", "start_child", "which_children", "count_children"]


def any_child(rng: random.Random, child_id: str, auto_shutdown: str) -> dict[str, Any]:
    """Any child; one in four does not always start."""
    restart = rng.choice(["permanent", "permanent", "transient", "temporary"])
    return {
        "id": child_id,
        "restart": restart,
        "significant": restart != "permanent" and rng.random() < 0.4 and (auto_shutdown != "never" or rng.random() < 0.1),
        "shutdown": rng.choice([5000, "infinity", "brutal_kill"]),
        "start": rng.choices(["ok", "ok", "error", "ignore"], k=rng.randint(1, 4)) if rng.random() < 0.25 else ["ok"],
    }


def any_event(rng: random.Random, ids: str, auto_shutdown: str) -> list[Any]:
    """Any event, sometimes about a child that is not there."""
    kind = rng.choice(EVENTS)
    child_id = rng.choice(ids)
    if kind == "exit":
        return [kind, child_id, rng.choice(["crash", "crash", "normal", "shutdown", "killed"])]
    if kind == "start_child":
        return [kind, any_child(rng, child_id, auto_shutdown)]
    return [kind] if kind in ("which_children", "count_children") else [kind, child_id]


def any_scenario(rng: random.Random) -> Scenario:
    """Any tree under any events."""
    auto_shutdown = rng.choice(["never", "never", "any_significant", "all_significant"])
    children = [any_child(rng, i, auto_shutdown) for i in "abcde"[: rng.randint(0, 5)]]
    for child in children:
        child["significant"] = child["significant"] and auto_shutdown != "never"
    return {
        "strategy": rng.choice(["one_for_one", "one_for_all", "rest_for_one"]),
        "intensity": rng.choice([0, 1, 2, 3, 5, 10]),
        "period": 3600,
        "auto_shutdown": auto_shutdown,
        "children": children,
        "events": [*(any_event(rng, "abcdex", auto_shutdown) for _ in range(rng.randint(1, 15))), ["which_children"]],
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_random_scenarios_give_the_traces_of_erlang(seed: int, tmp_path: pathlib.Path) -> None:
    rng = random.Random(seed)
    scenarios = [any_scenario(rng) for _ in range(COUNT)]
    batches = [f"{{traces,{tree_term(s)},{{only,[{events_term(s['events'])}]}}}}" for s in scenarios]
    for scenario, expected in zip(scenarios, ask_erlang(batches, tmp_path), strict=True):
        assert expected == trace(scenario), scenario
