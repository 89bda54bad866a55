"""What a command says and does while it waits."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from suptree.control.trees.leftovers import processes_of

SUPTREE = str(Path(sys.executable).parent / "suptree")
LIMIT = 90
STUBBORN = """
[agents.stubborn]
type = "process_wrapper"
command = "sh"
args = ["-c", "trap '' INT TERM; while :; do sleep 1000000; done"]
stop = { sigint = 1.5, sigterm = 1.5 }
"""
NEVER_READY = """
[agents.never]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
ready = "notify"
heartbeat = { startup_timeout = 1000 }
"""

NEVER_ENDS = """
[agents.a]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home in which no tree is left running."""
    monkeypatch.setenv("SUPTREE_HOME", str(tmp_path))
    yield tmp_path
    run("down")


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **environment}
    return subprocess.run([SUPTREE, *arguments], capture_output=True, text=True, timeout=LIMIT, env=environment, check=False)


def test_a_stop_that_takes_longer_than_a_second_says_what_it_waits_for(home: Path) -> None:
    # In this order they start, and the last is stopped first.
    (home / "t.toml").write_text(NEVER_ENDS + STUBBORN)
    assert 0 == run("up", str(home / "t.toml"), "-d").returncode

    stopped = run("stop", "stubborn")
    run("start", "stubborn")
    down = run("down")

    assert (0, True) == (stopped.returncode, stopped.stderr.startswith("stubborn is stopping"))
    assert (0, "t: 0 processes left\n", "still stopping: stubborn; to be stopped after that: 1\n") == (
        down.returncode,
        down.stdout,
        down.stderr,
    )


def test_sigterm_ends_up_in_the_background_and_its_tree_while_it_waits(home: Path) -> None:
    (home / "t.toml").write_text(NEVER_READY)
    with subprocess.Popen([SUPTREE, "up", str(home / "t.toml"), "-d"], stderr=subprocess.PIPE, text=True) as up:
        assert up.stderr is not None
        assert "waiting for never to start\n" == up.stderr.readline()
        up.send_signal(signal.SIGTERM)
        said = up.stderr.read()
        assert 143 == up.wait(LIMIT)

    assert "t: ended by SIGTERM before it was ready\n" == said
    assert [] == processes_of(json.loads((home / "trees" / "t" / "run.json").read_text())["run_id"])


def test_letters_of_another_locale_reach_the_program_and_the_screen(home: Path) -> None:
    (home / "t.toml").write_text(
        "[agents.a]\ntype = 'process_wrapper'\ncommand = 'sh'\nargs = ['-c', 'echo \"$1\" >&2; sleep 1000000', 'sh', '한']\n",
        encoding="utf-8",
    )
    assert 0 == run("up", str(home / "t.toml"), "-d", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0").returncode

    deadline = time.monotonic() + LIMIT
    while "한" not in (printed := run("logs", "a").stdout):
        assert time.monotonic() < deadline, printed


def test_a_folder_whose_name_is_no_utf8_is_shown_and_no_fault(home: Path) -> None:
    folder = home / os.fsdecode(b"odd-\xff")
    folder.mkdir()
    (home / "t.toml").write_text("[agents.a]\ntype = 'process_wrapper'\ncommand = 'sleep'\nargs = ['1000000']\n")
    (home / "t.toml").replace(folder / "t.toml")
    assert 0 == run("up", str(folder / "t.toml"), "-d").returncode

    assert [0, 0, 0] == [run(*command).returncode for command in (("status",), ("status", "--json"), ("status", "a"))]


def test_status_says_which_tree_gave_up_and_when_and_why(home: Path) -> None:
    (home / "t.toml").write_text("[agents.a]\ntype = 'process_wrapper'\ncommand = 'sh'\nargs = ['-c', 'sleep 1; exit 3']\n")
    run("up", str(home / "t.toml"))

    for name in ((), ("--tree", "t")):
        status = run("status", *name)
        _not_running, ending = status.stderr.splitlines()
        assert (3, "") == (status.returncode, status.stdout)
        assert ending.startswith("tree 't' gave up at 20")
        assert "  root #1 exited: " in ending

    (home / "t.toml").write_text(STUBBORN.replace("1.5", "0.1"))
    assert 0 == run("up", str(home / "t.toml"), "-d").returncode
    assert 0 == run("down").returncode
    assert 1 == len(run("status").stderr.splitlines())


@pytest.mark.parametrize("command", ["status", "tree", "stop a", "events", "explain a", "logs a -f", "tell a --eof"])
def test_a_command_says_within_a_few_seconds_that_the_launcher_does_not_answer(home: Path, command: str) -> None:
    (home / "t.toml").write_text(NEVER_ENDS)
    assert 0 == run("up", str(home / "t.toml"), "-d").returncode
    launcher = json.loads((home / "trees" / "t" / "run.json").read_text())["pid"]
    os.kill(launcher, signal.SIGSTOP)
    began = time.monotonic()
    asking = subprocess.Popen([SUPTREE, *command.split()], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert asking.stderr is not None
    said = asking.stderr.readline()
    took = time.monotonic() - began
    os.kill(launcher, signal.SIGCONT)
    if "-f" in command:
        asking.terminate()
    rest = asking.communicate(timeout=LIMIT)[1]

    expected = (
        f"the launcher of the tree (pid {launcher}) has not answered for 2 s: it is stopped, and goes on after `kill -CONT {launcher}`"
    )
    assert f"{expected}; this command still waits\n" == said
    assert took < 10
    assert "has not answered" not in rest


def test_a_launcher_that_stays_stopped_is_an_error_of_its_own(home: Path) -> None:
    (home / "t.toml").write_text(NEVER_ENDS)
    assert 0 == run("up", str(home / "t.toml"), "-d").returncode
    launcher = json.loads((home / "trees" / "t" / "run.json").read_text())["pid"]
    os.kill(launcher, signal.SIGSTOP)
    asked = run("status")
    os.kill(launcher, signal.SIGCONT)
    assert (1, "") == (asked.returncode, asked.stdout)
    first, last = asked.stderr.splitlines()
    assert first.startswith("the launcher of the tree")
    assert "did not answer in time" in last
