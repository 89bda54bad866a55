"""A program to which its control group belongs makes groups in it, one inside of the other, deeper than calls can be nested."""

import json
import sys
from pathlib import Path

import pytest

from suptree.actors.kernel.cgroup import Groups, make_run_groups, run_groups
from suptree.testing import LiveTree

DEEP = 1100
MAKES = f"""
import os
from suptree.actors.kernel.cgroup import own_groups

os.chdir(own_groups().unified)
for _ in range({DEEP}):
    os.mkdir("g")
    os.chdir("g")
print("made", flush=True)
"""


def test_what_is_deeper_than_a_path_can_be_long_is_removed_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "suptree-run" / "a.1"
    group.mkdir(parents=True)
    for name in ("b", "c"):
        monkeypatch.chdir(group)
        for _ in range(1500):
            Path(f"{name}{'x' * 20}").mkdir()
            monkeypatch.chdir(f"{name}{'x' * 20}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suptree-run" / "other.1").mkdir()
    Groups(unified=str(group)).remove()
    assert [tmp_path / "suptree-run", tmp_path / "suptree-run" / "other.1"] == sorted(tmp_path.rglob("*"))


def test_a_tree_outlives_groups_that_are_nested_without_end() -> None:
    groups = make_run_groups("probe")
    groups.remove()
    if groups.unified is None:
        pytest.skip("no cgroup v2 hierarchy is writable here")
    table = f'[agents.deep]\ntype = "process_wrapper"\nrestart = "temporary"\ncommand = {json.dumps(sys.executable)}\n'
    tree = f'{table}args = ["-c", {json.dumps(MAKES)}]\n[agents.other]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000000"]\n'
    with LiveTree(tree) as live:
        before = live.status()
        after = live.wait_until(
            lambda status: {row["id"]: row["status"] for row in status["agents"]}.get("deep", "stopped") == "stopped", 120
        )
        (ended,) = [event for event in live.events() if event["event"] == "agent_exited"]
        assert ("normal", "exit 0") == (ended["exit"]["class"], ended["exit"]["reason"])
        assert before["pids"] == after["pids"]
        assert [1, 1, 1] == [row["incarnation"] for row in (*after["agents"], *after["supervisors"])]
    assert not run_groups(live.run_ids[0]).exist
