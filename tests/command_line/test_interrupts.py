"""Ctrl-C, whenever it comes: nothing is left, and somebody says so."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from suptree.control.trees.standing import RUN_VARIABLE

SUPTREE = str(Path(sys.executable).parent / "suptree")
LIMIT = 60

SLOW = """
[agents.slow]
type = "process_wrapper"
command = "sh"
args = ["-c", "sleep 1000"]
ready = "notify"
heartbeat = { startup_timeout = 50 }
"""


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Everything that a command makes is made in here, and is gone in the end. Its path is short: there are sockets below it."""
    with tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as made:
        yield from _watched(Path(made), monkeypatch)


def _watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for variable, name in (("SUPTREE_HOME", "home"), ("XDG_RUNTIME_DIR", "run"), ("TMPDIR", "tmp")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    yield tmp_path
    assert [] == [process for process in psutil.process_iter() if of_this_test(process, tmp_path)]
    assert [] == [*tmp_path.glob("tmp/*"), *tmp_path.glob("run/suptree/*")]


def of_this_test(process: psutil.Process, folder: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.pid != os.getpid() and process.environ().get("TMPDIR") == str(folder / "tmp")
    return False


def begin(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([SUPTREE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def poll_until(true: Callable[[], bool], command: "subprocess.Popen[str] | None" = None) -> None:
    """Polls every 5 ms, until it is true; fail, with what the command said, when the command ends before."""
    deadline = time.monotonic() + LIMIT
    while not true():
        if command is not None and command.poll() is not None:
            pytest.fail(f"it ended with status {command.returncode}: {command.communicate()[0]}")
        assert time.monotonic() < deadline
        time.sleep(0.005)


def launcher_of(command: "subprocess.Popen[str]") -> bool:
    with contextlib.suppress(psutil.Error):
        return any(RUN_VARIABLE in child.environ() for child in psutil.Process(command.pid).children())
    return False


def moments(folder: Path) -> dict[str, Callable[["subprocess.Popen[str]"], bool]]:
    return {
        "its launcher is begun": lambda command: bool(psutil.Process(command.pid).children()),
        "its launcher has a token": launcher_of,
        "its launcher has written its run file": lambda _: any(folder.glob("**/run.json")),
        "its actors begin": lambda _: any(folder.glob("**/journal.sqlite")),
        "it answers": lambda _: any(folder.glob("run/suptree/*/control.sock")),
    }


@pytest.mark.parametrize("moment", moments(Path()))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_interrupted_while_it_begins_leaves_nothing(folder: Path, moment: str, number: signal.Signals) -> None:
    with begin("demo") as command:
        poll_until(lambda: moments(folder)[moment](command), command)
        command.send_signal(number)
        said = command.communicate(timeout=LIMIT)[0]
    assert (0, "demo: 0 processes left") == (command.returncode, said.splitlines()[-1]), said
    assert "Traceback" not in said


def test_ctrl_c_while_the_command_line_is_loaded_ends_it_with_a_word(folder: Path) -> None:
    slow = folder / "slow"
    slow.mkdir()
    (slow / "click.py").write_text(f"import pathlib, time\npathlib.Path({str(slow / 'reached')!r}).touch()\ntime.sleep(60)\n")
    environment = {**os.environ, "PYTHONPATH": str(slow)}
    with subprocess.Popen([SUPTREE, "demo"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as command:
        poll_until((slow / "reached").exists)
        command.send_signal(signal.SIGINT)
        said = command.communicate(timeout=LIMIT)[0]
    assert (0, "demo: interrupted, 0 processes left\n") == (command.returncode, said)


def test_after_ctrl_c_the_same_tree_can_go_up_immediately(folder: Path) -> None:
    file = folder / "slow.toml"
    file.write_text(SLOW)
    for _ in range(2):
        with begin("up", str(file)) as command:
            poll_until(lambda: any(folder.glob("run/suptree/*/control.sock")), command)
            command.send_signal(signal.SIGINT)
            said = command.communicate(timeout=LIMIT)[0]
        assert (0, "slow: 0 processes left\n") == (command.returncode, said)


def test_ctrl_c_before_a_tree_runs_in_the_background_is_no_success(folder: Path) -> None:
    file = folder / "slow.toml"
    file.write_text(SLOW)
    with begin("up", str(file), "-d") as command:
        poll_until(lambda: any(folder.glob("run/suptree/*/control.sock")), command)
        command.send_signal(signal.SIGINT)
        said = command.communicate(timeout=LIMIT)[0]
    assert (130, "up: interrupted, 0 processes left\n") == (command.returncode, said)


def test_what_takes_the_tree_down_while_it_goes_up_is_reported(folder: Path) -> None:
    file = folder / "slow.toml"
    file.write_text(SLOW)
    for number, expected in (
        (signal.SIGTERM, "suptree: tree 'slow' was stopped on request before it was ready"),
        (signal.SIGKILL, "suptree: tree 'slow' ended before it was ready: its launcher ended with SIGKILL"),
    ):
        with begin("up", str(file), "-d") as command:
            poll_until(lambda: any(folder.glob("run/suptree/*/control.sock")), command)
            pid = json.loads((folder / "home/trees/slow/run.json").read_text())["pid"]
            os.kill(pid, number)
            said = command.communicate(timeout=LIMIT)[0]
        # After a second it says what it waits for.
        assert (1, expected) == (command.returncode, next(line for line in said.splitlines() if line != "waiting for slow to start"))
        poll_until(lambda: not any(of_this_test(process, folder) for process in psutil.process_iter()))
    for path in folder.glob("run/suptree/*/*"):
        path.unlink()
    for path in folder.glob("run/suptree/*"):
        path.rmdir()


def test_the_last_word_of_the_demo_stays_on_the_screen() -> None:
    primary, secondary = pty.openpty()
    with subprocess.Popen([SUPTREE, "demo", "--seconds", "1"], stdin=secondary, stdout=secondary, stderr=secondary) as demo:
        os.close(secondary)
        drawn = b""
        with contextlib.suppress(OSError):
            while read := os.read(primary, 65536):
                drawn += read
        assert 0 == demo.wait(LIMIT)
    os.close(primary)
    # Nothing is drawn after it, neither over it nor below it.
    assert drawn.rpartition(b"\x1b")[2].endswith(b"demo: 0 processes left\r\n")
