"""`suptree doctor` says what is there, and what is in force."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from suptree.actors.kernel.cgroup import OFF_VARIABLE, make_run_groups
from suptree.testing import LiveTree

SUPTREE = str(Path(sys.executable).parent / "suptree")
TREE = '[tree]\nname = "patient"\n[agents.one]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000000"]\n'


def doctor(**environment: str) -> tuple[int, dict[str, dict[str, str]]]:
    ran = subprocess.run(
        [SUPTREE, "doctor", "--json"], capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )
    return ran.returncode, {finding["feature"]: finding for finding in json.loads(ran.stdout)}


@pytest.mark.parametrize("switch", ["auto", "off"])
def test_it_says_which_path_a_running_tree_has_taken(monkeypatch: pytest.MonkeyPatch, switch: str) -> None:
    monkeypatch.setenv(OFF_VARIABLE, switch)
    groups = make_run_groups("probe")
    groups.remove()
    with LiveTree(TREE) as running:
        status, found = doctor(SUPTREE_HOME=str(running.home))
    expected = "ok" if groups.unified else "limited"
    assert (0, expected, expected) == (status, found["control groups"]["state"], found["tree patient"]["state"])


def test_it_says_how_long_a_stop_can_take_of_a_tree_that_runs_and_of_a_file_as_check_does(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text(TREE + "stop = { sigint = 1, sigterm = 2.5 }\n")
    checked = subprocess.run([SUPTREE, "check", "--json", str(file)], capture_output=True, text=True, timeout=60, check=True)
    longest = json.loads(checked.stdout)["longest_stop"]
    with LiveTree(file) as running:
        ran = subprocess.run(
            [SUPTREE, "doctor", "--json", str(file)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={**os.environ, "SUPTREE_HOME": str(running.home)},
        )
        assert longest == running.status()["longest_stop"]
    found = {finding["feature"]: (finding["state"], finding["found"], finding["means"]) for finding in json.loads(ran.stdout)}
    expected = ("ok", f"{longest:g} s", "the TimeoutStopSec of a systemd unit must be longer")
    assert [expected] * 2 == [found["longest stop of patient"], found[f"longest stop of {file}"]]


def test_where_no_tree_can_run_it_says_so_and_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, found = doctor(SUPTREE_HOME=str(tmp_path / "file" / "home"))
    assert (1, "missing", "no tree can run") == (status, found["folders"]["state"], found["folders"]["means"])


def test_it_says_whether_agents_may_run_as_other_users(tmp_path: Path) -> None:
    _, found = doctor(SUPTREE_HOME=str(tmp_path))
    expected = ("ok", 'agents may have user = "…"') if os.geteuid() == 0 else ("limited", 'agents with user = "…" cannot start')
    assert expected == (found["other users"]["state"], found["other users"]["means"])


def test_it_leaves_nothing(tmp_path: Path) -> None:
    doctor(SUPTREE_HOME=str(tmp_path / "home"), XDG_RUNTIME_DIR=str(tmp_path))
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


def test_for_people_it_is_a_table(tmp_path: Path) -> None:
    ran = subprocess.run([SUPTREE, "doctor"], capture_output=True, text=True, timeout=60, check=False)
    assert 0 == ran.returncode
    assert ["versions", "pidfds", "control groups", "memory limits"] == [line.split("  ")[0] for line in ran.stdout.splitlines()[1:5]]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a network namespace")
def test_where_loopback_is_down_it_says_so_and_so_does_up(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text(TREE)
    environment = {**os.environ, "SUPTREE_HOME": str(tmp_path / "home")}

    def without_loopback(*command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["unshare", "--net", SUPTREE, *command], capture_output=True, text=True, timeout=60, check=False, env=environment
        )

    looked, brought_up = without_loopback("doctor", "--json"), without_loopback("up", "-d", str(file))
    (found,) = [finding for finding in json.loads(looked.stdout) if finding["feature"] == "loopback"]
    assert (1, "missing") == (looked.returncode, found["state"])
    for said in (found["found"], brought_up.stderr):
        assert "nothing can be sent to 127.0.0.1 (" in said
        assert "is `lo` down (ip link set lo up)?" in said
    assert 1 == brought_up.returncode
