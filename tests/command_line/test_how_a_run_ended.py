"""Of a run that was not stopped in order the commands say so."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from suptree.control.trees.last_run import how_it_ended
from suptree.control.trees.leftovers import processes_of
from suptree.control.trees.paths import TreePaths
from suptree.control.trees.run_file import start_time
from tests.polling import poll_until

SUPTREE = str(Path(sys.executable).parent / "suptree")
LIMIT = 90
TREE = """
[tree]
name = "t"
[agents.a]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with the file of a tree, of which no process is left in the end."""
    monkeypatch.setenv("SUPTREE_HOME", str(tmp_path))
    (tmp_path / "t.toml").write_text(TREE)
    yield tmp_path
    run("down")
    run_id = run_file(tmp_path)["run_id"]
    poll_until(lambda: processes_of(run_id) == [], LIMIT)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([SUPTREE, *arguments], capture_output=True, text=True, timeout=LIMIT, check=False)


def run_file(home: Path) -> dict[str, Any]:
    return dict(json.loads((home / "trees" / "t" / "run.json").read_text()))


def up_and_killed(home: Path) -> int:
    """The pid that a launcher had which was killed."""
    assert 0 == run("up", str(home / "t.toml"), "-d").returncode
    pid: int = run_file(home)["pid"]
    os.kill(pid, signal.SIGKILL)
    poll_until(lambda: start_time(pid) is None, LIMIT)
    return pid


def test_each_command_says_that_the_launcher_was_killed_until_the_tree_was_stopped_in_order(home: Path) -> None:
    pid = up_and_killed(home)
    killed = (
        f"tree 't' was not stopped in order: its launcher (pid {pid}) ended without noting that, as one does that is killed"
        " (SIGKILL, or no memory: see `dmesg`)"
    )
    for command in ("status", "status -t t", "explain a", "events", "tree", "stop a"):
        done = run(*command.split())
        assert (3, "", [killed]) == (done.returncode, done.stdout, done.stderr.splitlines()[1:]), command

    assert 0 == run("up", str(home / "t.toml"), "-d").returncode
    assert None is how_it_ended(TreePaths.of("t"))
    assert 0 == run("down").returncode
    assert "suptree: no tree runs: start one with `suptree up FILE`\n" == run("status").stderr


def test_a_death_of_a_run_whose_launcher_was_killed_is_explained_and_so_is_that(home: Path) -> None:
    (home / "t.toml").write_text(TREE.replace('"sleep"', '"sh"').replace('["1000000"]', '["-c", "exit 3"]\nhold = true\nmax_restarts = 9'))
    assert 0 == run("up", str(home / "t.toml"), "-d").returncode
    poll_until(lambda: "now        held" in run("explain", "a").stdout, LIMIT)
    os.kill(run_file(home)["pid"], signal.SIGKILL)
    poll_until(lambda: "tree t does not run" in run("explain", "a").stdout, LIMIT)
    assert run("explain", "a").stdout.splitlines()[-1].startswith("tree 't' was not stopped in order: its launcher (pid ")


def test_a_run_that_ended_with_the_machine_is_reported_as_that_and_one_of_an_earlier_version_is_not_judged(home: Path) -> None:
    up_and_killed(home)
    path, found = home / "trees" / "t" / "run.json", run_file(home)
    # The runs of other machines are none of ours.
    expected = "tree 't' was not stopped in order: it ended with the machine, which was started again since"
    for place, ending in (({"boot": "another"}, expected), ({"boot": "another", "host": "elsewhere"}, None)):
        path.write_text(json.dumps({**found, "place": {**found["place"], **place}}))
        assert ending == how_it_ended(TreePaths.of("t"))
    del found["ended"]
    path.write_text(json.dumps(found))
    assert None is how_it_ended(TreePaths.of("t"))
