"""`python -m suptree.scripts.otp_trace`: scenarios in, traces out."""

import io
import json
import sys
from typing import Any

import pytest

from suptree.scripts.otp_simulation import Simulation
from suptree.scripts.otp_trace import main


def child(child_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": child_id, "restart": "permanent", "start": ["ok"], **fields}


def trace(*events: list[Any], children: list[dict[str, Any]] | None = None, **flags: Any) -> list[list[Any]]:
    children = [child("a")] if children is None else children
    return Simulation({"strategy": "one_for_one", "intensity": 1, "period": 5, "children": children, "events": events, **flags}).run()


def test_a_scenario_that_ends_is_stopped() -> None:
    assert [["started", "a"], ["stopped", "a"], ["supervisor_stopped"]] == trace()


def test_a_supervisor_that_gives_up_ends_the_scenario() -> None:
    crash = ["exit", "a", "crash"]
    assert [
        ["started", "a"],
        ["exited", "a", "crash"],
        ["started", "a"],
        ["exited", "a", "crash"],
        ["supervisor_exited", "shutdown"],
    ] == trace(crash, crash, crash)


def test_time_that_passes_is_simulated() -> None:
    crash = ["exit", "a", "crash"]
    assert ["supervisor_stopped"] == trace(crash, ["advance", 5001], crash)[-1]
    assert ["supervisor_exited", "shutdown"] == trace(crash, ["advance", 5000], crash)[-1]


def test_every_call_is_answered() -> None:
    assert [
        ["started", "a"],
        ["stopped", "a"],
        ["terminate_child", "a", "ok"],
        ["which_children", [["a", "undefined"]]],
        ["no_such_child", "a"],
        ["started", "a"],
        ["restart_child", "a", "ok"],
        ["delete_child", "a", "running"],
        ["started", "b"],
        ["start_child", "b", "ok"],
        ["count_children", 2, 2],
        ["stopped", "b"],
        ["stopped", "a"],
        ["supervisor_stopped"],
    ] == trace(
        ["terminate_child", "a"],
        ["which_children"],
        ["exit", "a", "crash"],
        ["restart_child", "a"],
        ["delete_child", "a"],
        ["start_child", child("b")],
        ["count_children"],
    )


def test_starts_turn_out_as_the_scenario_says() -> None:
    children = [child("a", start=["ok", "error", "ignore"], shutdown="brutal_kill"), child("b", shutdown="infinity")]
    assert [
        ["started", "a"],
        ["started", "b"],
        ["exited", "a", "killed"],
        ["start_failed", "a"],
        ["ignored", "a"],
        ["stopped", "b"],
        ["supervisor_stopped"],
    ] == trace(["exit", "a", "killed"], children=children, intensity=5)


def test_a_supervisor_that_cannot_start_says_why() -> None:
    children = [child("a"), child("b", start=["error"])]
    assert [["started", "a"], ["start_failed", "b"], ["stopped", "a"], ["start_failed", "b"]] == trace(children=children)


def test_no_children_are_an_empty_list() -> None:
    assert [["which_children", []], ["supervisor_stopped"]] == trace(["which_children"], children=[])


def test_each_line_is_a_scenario(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = {"strategy": "one_for_all", "intensity": 1, "period": 5, "children": [], "events": []}
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{json.dumps(scenario)}\n\n{json.dumps(scenario)}\n"))
    main(sys.stdin)
    assert '[["supervisor_stopped"]]\n[["supervisor_stopped"]]\n' == capsys.readouterr().out
