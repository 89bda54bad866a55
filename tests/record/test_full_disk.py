"""A tree lives on a disk that fills up: what the commands print stays true, and the journal says what it missed."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from suptree.testing import LiveTree
from suptree.testing.live_tree import Status
from tests.polling import poll_until

from ..full_disk import fill, needs_root, small_disk

TREE = """
[tree]
name = "t"

[supervisors.root]
max_restarts = 1000

[agents.a]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]

[agents.b]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
"""


class TreeOnASmallDisk(LiveTree):
    """Its home is on that disk."""

    def __init__(self, tree: str, home: Path) -> None:
        super().__init__(tree)
        self._home.cleanup()
        self._home = tempfile.TemporaryDirectory(prefix="home-", dir=home)
        self.home = Path(self._home.name)
        self.file = self.home / "tree.toml"
        self.file.write_text(tree)


@pytest.fixture
def disk(short_folder: Path) -> Iterator[Path]:
    with small_disk(short_folder, "16m") as folder:
        yield folder


def suptree(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "SUPTREE_HOME": str(home), "COLUMNS": "200"}
    command = [sys.executable, "-P", "-m", "suptree.scripts.main", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def runs(incarnation: int, status: Status) -> bool:
    return [incarnation, "running"] == [status["agents"][0][what] for what in ("incarnation", "status")]


@needs_root
def test_on_a_full_disk_what_the_commands_print_is_true_and_the_journal_is_complete_when_there_is_room(disk: Path) -> None:
    with TreeOnASmallDisk(TREE, disk) as tree:
        tree.wait_until_all_run()
        ballast = fill(disk)

        stopped = suptree(tree.home, "stop", "b")
        assert (0, "b: stopped") == (stopped.returncode, stopped.stdout.strip()[:10])
        for expected in range(2, 5):
            os.kill(tree.agent("a")["pid"], 9)
            tree.wait_until(partial(runs, expected))
        journal: dict[str, Any] = tree.status()["journal"]
        assert (0, True, True) == (journal["lost"], journal["waiting"] > 0, "full" in journal["why"])
        assert "cannot be written" in suptree(tree.home, "status").stdout
        assert [("journal of t", "limited")] == [
            (found["feature"], found["state"])
            for found in json.loads(suptree(tree.home, "doctor", "--json").stdout)
            if "journal" in found["feature"]
        ]
        known = tree.events()

        ballast.unlink()
        poll_until(lambda: tree.status()["journal"]["why"] is None, what=lambda: tree.status()["journal"])

        with contextlib.closing(sqlite3.connect(f"file:{journal['path']}?mode=ro", uri=True)) as db:
            written = [json.loads(text) for (text,) in db.execute("SELECT event FROM events ORDER BY seq")]
            rows = {child: json.loads(row)["status"] for child, row in db.execute("SELECT id, row FROM rows")}
    assert [(event["source"], event["serial"]) for event in known] == [
        (event["source"], event["serial"]) for event in written[: len(known)]
    ]
    assert ("running", "stopped") == (rows["a"], rows["b"])


@needs_root
def test_up_on_a_full_disk_names_the_disk_and_the_folder_in_one_line(disk: Path) -> None:
    home = disk / "home"
    home.mkdir(mode=0o700)
    (disk / "tree.toml").write_text(TREE)
    fill(disk)

    started = suptree(home, "up", "--detach", str(disk / "tree.toml"))

    said = started.stderr.strip()
    assert (1, 1) == (started.returncode, len(said.splitlines())), said
    assert [True, True] == [words in said for words in (f"the disk at {disk}", str(home / "trees"))], said


@needs_root
def test_a_tree_starts_where_there_is_room_for_little_more_than_its_folders(disk: Path) -> None:
    home = disk / "home"
    home.mkdir(mode=0o700)
    (disk / "tree.toml").write_text(TREE)
    ballast = fill(disk)
    os.truncate(ballast, ballast.stat().st_size - 8192)

    started = suptree(home, "up", "--detach", str(disk / "tree.toml"))
    try:
        assert (0, True) == (started.returncode, "cannot be written" in suptree(home, "status").stdout), started.stderr
    finally:
        assert "t: 0 processes left" == suptree(home, "down").stdout.splitlines()[-1]
