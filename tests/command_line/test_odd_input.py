"""What nobody means to type, and where nothing can be written: one line and an exit status, never a traceback."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from suptree.actors.errors import NoSuchAgent, RequestTimeout
from suptree.control.client import client as client_module
from suptree.control.client.client import Client

SUPTREE = str(Path(sys.executable).parent / "suptree")
NEWSROOM = str(Path(__file__).parents[2] / "examples" / "newsroom.toml")
LIMIT = 60
ODD_IDS = ["a\nb", "\udcff", "", "a/b", "..", ".", "?", "#", "../shutdown?", "x" * 65]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home in which the newsroom runs, for all of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("SUPTREE_HOME", str(folder))
        assert 0 == suptree("up", NEWSROOM, "-d").returncode
        yield folder
        assert "newsroom: 0 processes left\n" == suptree("down").stdout


def suptree(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **environment}
    return subprocess.run([SUPTREE, *arguments], env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)


def shell(script: str) -> tuple[int, str]:
    """Exit status and stderr of a shell script in which `$0` is the command line."""
    done = subprocess.run(["bash", "-c", script, SUPTREE], capture_output=True, text=True, timeout=LIMIT, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("odd", ODD_IDS)
def test_an_id_that_no_tree_can_have_is_unknown_to_the_client(odd: str) -> None:
    async def ask() -> int:
        refused = 0
        async with Client(Path("/nowhere")) as client:
            for question in (
                client.agent(odd),
                client.stop(odd),
                client.start(odd),
                client.forecast(odd),
                client.explanation(odd),
                client.log_lines(odd),
            ):
                with pytest.raises(NoSuchAgent):
                    await question
                refused += 1
        return refused

    assert 6 == asyncio.run(ask())


@pytest.mark.parametrize("verb", [("stop",), ("status",), ("logs",), ("logs", "-f"), ("explain",), ("explain", "crash")])
@pytest.mark.parametrize("odd", ["\udcff", "../shutdown?"])
def test_an_id_that_no_tree_can_have_exits_4(home: Path, verb: tuple[str, ...], odd: str) -> None:
    done = suptree(*verb, odd)
    assert (4, "", 1) == (done.returncode, done.stdout, len(done.stderr.splitlines()))


def test_a_launcher_that_never_answers_is_not_waited_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_READ_LIMIT", 0.2)

    async def ask() -> None:
        async with Client(tmp_path / "socket") as client:
            await client.status()

    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "socket"))
        silent.listen()
        with pytest.raises(RequestTimeout, match="did not answer in time"):
            asyncio.run(ask())


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("SUPTREE_HOME", "/proc/x"),
        ("SUPTREE_HOME", "/etc/passwd"),
        ("SUPTREE_HOME", "/tmp/" + "x" * 300),
        ("XDG_RUNTIME_DIR", "/proc/x"),
        ("XDG_RUNTIME_DIR", "/tmp/" + "x" * 100),
    ],
)
def test_a_folder_that_cannot_be_is_reported_with_what_to_set(tmp_path: Path, variable: str, folder: str) -> None:
    done = suptree("up", NEWSROOM, "-d", **{"SUPTREE_HOME": str(tmp_path), variable: folder})
    assert (1, "", 1) == (done.returncode, done.stdout, len(done.stderr.splitlines()))
    assert variable in done.stderr


def test_status_in_a_home_that_cannot_be_is_one_line() -> None:
    done = suptree("status", SUPTREE_HOME="/tmp/" + "x" * 300)
    assert ("", 1) == (done.stdout, len(done.stderr.splitlines()))


@pytest.mark.parametrize("command", ["status", "status --json", "tree", "events", "events -f", "logs writer", "logs -f writer"])
def test_a_full_disk_under_the_output_is_one_line(home: Path, command: str) -> None:
    assert (1, "suptree: [Errno 28] No space left on device\n") == shell(f'"$0" {command} >/dev/full')


@pytest.mark.parametrize("command", ["status", "status --json", "tree", "events", "logs writer"])
def test_a_closed_output_is_no_fault(home: Path, command: str) -> None:
    assert (0, "") == shell(f'"$0" {command} >&-')


@pytest.mark.parametrize("command", ["events -f", "logs -f writer"])
def test_who_follows_ends_quietly_when_its_reader_does(home: Path, command: str) -> None:
    busy = '(while sleep 0.2; do "$0" restart writer; done) >/dev/null 2>&1 & trap "kill $!; wait" EXIT'
    assert (0, "") == shell(f'{busy}; "$0" {command} | head -1 >/dev/null')


@pytest.mark.parametrize("nonsense", ["[]", "3", '{"run_id": 1, "pid": 2}', '{"run_id": "x", "pid": -1}', "{", "\0"])
def test_a_run_file_that_makes_no_sense_does_not_keep_a_tree_from_going_up(tmp_path: Path, nonsense: str) -> None:
    folder = tmp_path / "trees" / "newsroom"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(nonsense)
    assert 3 == suptree("down", SUPTREE_HOME=str(tmp_path)).returncode
    up = suptree("up", NEWSROOM, "-d", SUPTREE_HOME=str(tmp_path))
    down = suptree("down", SUPTREE_HOME=str(tmp_path))
    # What it says is what it waits for, if that takes longer than a second.
    assert [] == [line for line in up.stderr.splitlines() if not line.startswith("waiting for ")]
    assert (0, "newsroom: 0 processes left\n") == (up.returncode, down.stdout)


def test_a_damaged_journal_does_not_keep_a_tree_from_going_up(tmp_path: Path) -> None:
    folder = tmp_path / "trees" / "newsroom"
    folder.mkdir(parents=True)
    (folder / "journal.sqlite").write_bytes(b"no database" * 100)
    up = suptree("up", NEWSROOM, "-d", SUPTREE_HOME=str(tmp_path))
    down = suptree("down", SUPTREE_HOME=str(tmp_path))
    # What it says is what it waits for, if that takes longer than a second.
    assert [] == [line for line in up.stderr.splitlines() if not line.startswith("waiting for ")]
    assert (0, "newsroom: 0 processes left\n") == (up.returncode, down.stdout)


def test_a_pipe_is_no_tree_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = suptree("check", str(tmp_path / "pipe"))
    assert (2, f"{tmp_path}/pipe: file: is not a regular file\n") == (done.returncode, done.stderr)


def test_check_gives_programs_the_problems_too(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('[agents.a]\ntype = "process_wrapper"\n')
    done = suptree("check", str(file), "--json")
    said = json.loads(done.stdout)
    assert (2, str(file), ["agents.a.command (line 1)"]) == (done.returncode, said["file"], [each["place"] for each in said["problems"]])


@pytest.mark.parametrize(
    "arguments", [("demo", "--seconds", "-1"), ("demo", "--seconds", "nan"), ("down", "--timeout", "-1"), ("logs", "a", "-n", "-1")]
)
def test_a_number_that_cannot_be_meant_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    done = suptree(*arguments)
    assert (2, "") == (done.returncode, done.stdout)
