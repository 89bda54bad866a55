"""Programs that start a tree, and what they and others send to it: signals, and what was ignored or blocked when the tree was started."""

import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from suptree.actors.kernel.linux import children_of
from tests.polling import poll_until

from .commands import LIMIT, SUPTREE, Place, send

SOON = 2.0
GIVES_UP = """
[tree]
name = "t"
[agents.a]
type = "process_wrapper"
command = "sh"
args = ["-c", "exit 3"]
"""


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Place(tmp_path_factory) as place:
        yield place


def is_gone(pid: int) -> bool:
    """Whether a process has ended; who adopted it may not have reaped it yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("killed", ["launcher", "admin"])
def test_admin_and_logger_are_gone_when_the_launcher_or_the_admin_was_killed(place: Place, killed: str) -> None:
    place.up()
    pids = place.status()["pids"]
    thespian = [pids["admin"], *children_of(pids["admin"])]
    send(pids[killed])
    poll_until(lambda: all(is_gone(pid) for pid in thespian), SOON)
    poll_until(lambda: not place.processes(), LIMIT)


def test_a_refused_up_leaves_no_process(place: Place) -> None:
    place.up()
    before = {process.pid for process in place.processes()}
    for detached in ([], ["-d"]):
        assert 1 == place.suptree("up", str(place.file), *detached).returncode
        assert before == {process.pid for process in place.processes()}
    place.expect_down()


def test_signals_that_mean_nothing_end_neither_launcher_nor_admin(place: Place) -> None:
    place.up()
    pids = place.status()["pids"]
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGALRM, signal.SIGHUP, signal.SIGINT, signal.SIGRTMIN):
        for name in ("launcher", "admin"):
            os.kill(pids[name], number)
    assert pids == place.status()["pids"]
    assert pids["admin"] in children_of(pids["launcher"])
    place.expect_down()


@pytest.mark.parametrize("how", ["--block-signal=TERM", "--block-signal", "--ignore-signal=CHLD", "--ignore-signal=TERM"])
def test_a_tree_hears_sigterm_and_its_agents_are_free_whatever_its_starter_blocked_or_ignored(place: Place, how: str) -> None:
    command = ["env", how, SUPTREE, "up", str(place.file)]
    with subprocess.Popen(command, env=place.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as up:
        poll_until(lambda: place.suptree("status").returncode == 0, LIMIT)
        (row,) = place.status()["agents"]
        lines = Path(f"/proc/{row['pid']}/status").read_text(encoding="ascii").splitlines()
        # Without 32 and 33, the C library's own, which it has a program that it spawns ignore: Python 3.13 spawns by it.
        masks = {line.split()[0]: int(line.split()[1], 16) & ~(0b11 << 31) for line in lines if line.startswith(("SigBlk", "SigIgn"))}
        up.terminate()
        assert (0, {"SigBlk:": 0, "SigIgn:": 0}) == (up.wait(60), masks)
    poll_until(lambda: not place.processes(), LIMIT)


@pytest.mark.parametrize("how", ["--ignore-signal=CHLD", "--default-signal=CHLD"])
def test_a_tree_that_gave_up_says_so_whatever_its_starter_does_with_sigchld(place: Place, how: str) -> None:
    place.file.write_text(GIVES_UP, encoding="utf-8")
    assert 1 == place.suptree("up", str(place.file), before=("env", how)).returncode
    poll_until(lambda: not place.processes(), LIMIT)


def test_without_a_home_and_an_entry_in_passwd_every_command_says_it_in_one_line(place: Place) -> None:
    nobody = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")
    for command in (["status"], ["down"], ["tree"], ["stop", "a"]):
        done = place.suptree(*command, before=nobody, HOME=None, SUPTREE_HOME=None, XDG_STATE_HOME=None, XDG_RUNTIME_DIR=None)
        assert (1, 1) == (done.returncode, len(done.stdout.splitlines())), done.stdout
        assert "set SUPTREE_HOME" in done.stdout


def many(count: int) -> str:
    return '[tree]\nname = "t"\n' + "".join(
        f'[agents.a{number}]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000"]\n' for number in range(count)
    )


def fill(writer: int) -> None:
    """Leave no room in a pipe."""
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, True)


@pytest.mark.parametrize("full_before", [True, False])
def test_up_whose_output_nobody_reads_hears_sigterm(place: Place, *, full_before: bool) -> None:
    place.file.write_text(many(12), encoding="utf-8")
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    if full_before:
        fill(writer)
    with subprocess.Popen([SUPTREE, "up", str(place.file)], env=place.environment, stdout=writer, stderr=subprocess.DEVNULL) as up:
        poll_until(lambda: place.suptree("status").returncode == 0, LIMIT)
        if not full_before:
            fill(writer)
        # For each there are events, for which there is no room.
        assert 0 == place.suptree("restart", "a1").returncode
        up.terminate()
        assert 0 == up.wait(30)
    for end in (reader, writer):
        os.close(end)
    poll_until(lambda: not place.processes(), LIMIT)
