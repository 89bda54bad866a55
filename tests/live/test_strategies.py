"""The strategies, seen in a running tree: which pids change, and in which order."""

from pathlib import Path
from typing import Any

import pytest

from suptree.testing import LiveTree, kill

NEWSROOM = Path(__file__).parents[2] / "examples" / "newsroom.toml"

ALWAYS_CRASHES = """
[tree]
name = "crashing"

[supervisors.root]
max_restarts = 100
within = 60

[agents.before]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]

[agents.crasher]
type = "process_wrapper"
command = "sh"
args = ["-c", "echo no model >&2; exit 3"]
max_restarts = 3

[agents.after]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
"""

GIVES_UP = """
[tree]
name = "hopeless"

[supervisors.root]
max_restarts = 2
within = 60

[supervisors.inner]
max_restarts = 1
within = 60
restart = "RESTART"

[agents.steady]
type = "process_wrapper"
supervisor = "inner"
command = "sleep"
args = ["1000000"]

[agents.crasher]
type = "process_wrapper"
supervisor = "inner"
command = "sh"
args = ["-c", "sleep 0.3; exit 9"]
"""


def pids(status: dict[str, Any]) -> dict[str, int]:
    return {row["id"]: row["actor_pid"] for row in status["agents"]}


@pytest.mark.parametrize(
    ("killed", "stopped", "started"),
    [
        ("editor", ["critic", "planner"], ["planner", "editor", "critic"]),
        ("writer", ["checker"], ["writer", "checker"]),
        ("printer", [], ["printer"]),
    ],
    ids=["one_for_all", "rest_for_one", "one_for_one"],
)
def test_the_death_of_one_changes_exactly_the_pids_that_its_strategy_says(killed: str, stopped: list[str], started: list[str]) -> None:
    with LiveTree(NEWSROOM) as tree:
        before = tree.wait_until_all_run()
        seen = len(tree.events())
        kill(pids(before)[killed])

        def repaired(status: dict[str, Any]) -> bool:
            now = pids(status)
            return all(row["status"] == "running" for row in status["agents"]) and all(now[a] != pids(before)[a] for a in started)

        after = tree.wait_until(repaired)
        events = tree.events()[seen:]

    assert {agent for agent in pids(before) if pids(before)[agent] != pids(after)[agent]} == set(started)
    assert [event["id"] for event in events if event["event"] == "agent_exited"] == [killed, *stopped]
    assert [event["id"] for event in events if event["event"] == "agent_starting"] == started
    exits = [index for index, event in enumerate(events) if event["event"] == "agent_exited"]
    starts = [index for index, event in enumerate(events) if event["event"] == "agent_starting"]
    assert max(exits) < min(starts)


def test_an_agent_with_max_restarts_three_is_started_four_times_then_stays_crashed_and_says_why() -> None:
    with LiveTree(ALWAYS_CRASHES) as tree:
        siblings = {agent: pid for agent, pid in pids(tree.status()).items() if agent != "crasher"}
        status = tree.wait_until(lambda s: any((row["detail"] or "").startswith("quarantine") for row in s["agents"]))
        starts = [event for event in tree.events() if event["event"] == "agent_starting" and event["id"] == "crasher"]
        crasher = next(row for row in status["agents"] if row["id"] == "crasher")

        assert 4 == len(starts)
        assert "crashed" == crasher["status"]
        assert "quarantine: failed (exit 3): it exceeded its own limit of 3 restarts (no model)" == crasher["detail"]
        assert {"class": "failed", "reason": "exit 3", "last_error": "no model"}.items() <= crasher["last_exit"].items()
        assert siblings == {agent: pid for agent, pid in pids(tree.status()).items() if agent != "crasher"}


def test_a_permanent_supervisor_that_gives_up_is_restarted_until_its_parent_gives_up_too() -> None:
    with LiveTree(GIVES_UP.replace("RESTART", "permanent")) as tree:
        assert 1 == tree.wait_for_end(30)
        story = tree.launcher.paths.launcher_log.read_text()
        tree.expect_nothing_left()
    # inner starts three times (root allows two restarts), crasher twice in each of its lives.
    assert '"tree_gave_up"' in story
    assert "inner #3: escalate" in story


def test_a_transient_supervisor_that_gives_up_is_left_down_by_its_parent() -> None:
    with LiveTree(GIVES_UP.replace("RESTART", "transient")) as tree:
        status = tree.wait_until(lambda s: any(row["id"] == "inner" and row["status"] == "stopped" for row in s["supervisors"]))
        assert {"steady": "stopped", "crasher": "crashed"} == {row["id"]: row["status"] for row in status["agents"]}
        assert 0 == tree.down()
