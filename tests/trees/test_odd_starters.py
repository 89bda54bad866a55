"""Starters that give a tree little, or take something away while it runs: a folder, descriptors, a terminal, a reader, themselves."""

import contextlib
import fcntl
import json
import os
import pty
import resource
import signal
import sqlite3
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Iterator

import psutil
import pytest

from ..full_disk import fill, needs_root, small_disk
from ..polling import poll_until
from .commands import LIMIT, SUPTREE, Place

SOON = 5.0
LEAST_DESCRIPTORS = 64
TREE = """
[tree]
name = "t"
[agents.a]
type = "process_wrapper"
command = "sh"
args = ["-c", "trap 'sleep 2; touch ended; exit 0' INT TERM; while :; do sleep 0.1; done"]
cwd = "FOLDER"
stop = { sigint = 30, sigterm = 30 }
hooks = { post_exit = ["touch", "hook"] }
[agents.b]
type = "process_wrapper"
command = "sleep"
args = ["1000"]
"""


@pytest.fixture(autouse=True)
def as_without_nohup() -> Iterator[None]:
    """What this process ignores, its children ignore."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Place(tmp_path_factory) as place:
        place.file.write_text(TREE.replace("FOLDER", str(place.folder)), encoding="utf-8")
        yield place


def expect_orderly_end(place: Place) -> None:
    """The program had its time, its hook has run, and nothing is left."""
    poll_until(lambda: not place.processes(), LIMIT)
    assert {"ended", "hook"} <= {path.name for path in place.folder.iterdir()}
    ended = [line for line in (place.state / "launcher.log").read_text(encoding="utf-8").splitlines() if "tree_ended" in line]
    assert [True] == ['"asked": true, "status": 0' in line for line in ended], ended


def begin(place: Place, *before: str, **streams: int) -> "subprocess.Popen[bytes]":
    """A tree in the foreground, which is up."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **streams}
    up = subprocess.Popen([*before, SUPTREE, "up", str(place.file)], env=place.environment, **streams)  # type: ignore[call-overload]
    poll_until(lambda: place.suptree("status").returncode == 0, LIMIT)
    return up  # type: ignore[no-any-return]


def restart(place: Place) -> None:
    """Have a few events."""
    assert 0 == place.suptree("restart", "b").returncode


def expect_to_hear_sigterm_soon(place: Place, up: "subprocess.Popen[bytes]") -> None:
    sent_at = time.monotonic()
    up.terminate()
    assert 0 == up.wait(LIMIT)
    with contextlib.closing(sqlite3.connect(place.state / "journal.sqlite")) as journal:
        events = [json.loads(row[0]) for row in journal.execute("SELECT event FROM events")]
    (began,) = [said["monotonic"] for said in events if (said["event"], said["id"]) == ("supervisor_stopping", "root")]
    assert began - sent_at < SOON


# ---- what a starter gives ---------------------------------------------------------------------------


def test_in_a_folder_that_was_removed_a_relative_path_gets_one_clear_line_and_an_absolute_one_a_tree(place: Place) -> None:
    gone = place.folder / "gone"
    removed = ("sh", "-c", f'mkdir {gone} && cd {gone} && rmdir {gone} && exec "$@"', "sh")
    done = place.suptree("up", "../t.toml", "-d", before=removed)
    assert (1, 1) == (done.returncode, len(done.stdout.splitlines())), done.stdout
    assert "does not exist any more" in done.stdout
    place.up(before=removed)
    place.expect_down()


@pytest.mark.parametrize("limit", [LEAST_DESCRIPTORS - 1, LEAST_DESCRIPTORS])
def test_a_limit_of_open_files_is_enough_or_is_named(place: Place, limit: int) -> None:
    done = place.suptree("up", str(place.file), "-d", before=("prlimit", f"--nofile={limit}:{limit}"))
    if limit < LEAST_DESCRIPTORS:
        assert (1, 1) == (done.returncode, len(done.stdout.splitlines())), done.stdout
        assert f"the limit of open files is {limit}" in done.stdout
        assert [] == place.processes()
    else:
        assert 0 == done.returncode, done.stdout
        place.expect_down()


def test_a_thousand_descriptors_of_the_starter_reach_no_process_of_the_tree(place: Place) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    given = [os.open(place.file, os.O_RDONLY) for _ in range(1000)]
    try:
        done = subprocess.run(
            [SUPTREE, "up", str(place.file), "-d"],
            env=place.environment,
            pass_fds=given,
            stdout=subprocess.DEVNULL,
            check=False,
            timeout=LIMIT,
        )
        assert 0 == done.returncode
    finally:
        for descriptor in given:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    held = {}
    for process in place.processes():
        # One of the tree may end meanwhile.
        with contextlib.suppress(psutil.NoSuchProcess):
            held[process.pid] = [file.path for file in process.open_files()].count(str(place.file))
    assert len(held) > 5
    assert dict.fromkeys(held, 0) == held
    place.expect_down()


def test_the_environment_of_cron_is_enough(place: Place) -> None:
    cron = ("env", "-i", f"HOME={place.folder}", "PATH=/usr/bin:/bin", f"ST_HOME={place.home}")
    done = place.suptree("up", str(place.file), "-d", before=cron)
    assert 0 == done.returncode, done.stdout
    done = place.suptree("down", before=cron)
    assert (0, "t: 0 processes left") == (done.returncode, done.stdout.splitlines()[-1])


# ---- how a starter ends a tree, and how it ends itself -----------------------------------------------


def test_timeout_which_sends_sigterm_twice_is_one_request(place: Place) -> None:
    with begin(place, "timeout", "1000") as up:
        up.terminate()
        assert 0 == up.wait(LIMIT)
    expect_orderly_end(place)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_tree_whose_starter_dies_ends_in_order(place: Place, number: signal.Signals) -> None:
    with begin(place) as up:
        up.send_signal(number)
        assert -number == up.wait(LIMIT)
    expect_orderly_end(place)


@pytest.mark.parametrize("ignores", [True, False])
def test_a_tree_whose_terminal_is_lost_ends_in_order_and_under_nohup_not_at_all(place: Place, *, ignores: bool) -> None:
    controller, terminal = pty.openpty()
    before = ("setsid", "--ctty", "env", *(["--ignore-signal=HUP"] if ignores else []))
    with begin(place, *before, stdin=terminal, stdout=terminal, stderr=terminal) as up:
        os.close(terminal)
        os.close(controller)
        if ignores:
            restart(place)
            assert None is up.poll()
            up.terminate()
        assert (0 if ignores else -signal.SIGHUP) == up.wait(LIMIT)
    expect_orderly_end(place)


# ---- readers ----------------------------------------------------------------------------------------


def test_a_reader_that_ends_ends_no_tree(place: Place) -> None:
    reader, writer = os.pipe()
    with begin(place, stdout=writer) as up:
        os.close(writer)
        os.close(reader)
        restart(place)
        assert None is up.poll()
        up.terminate()
        assert 0 == up.wait(LIMIT)
    expect_orderly_end(place)


@needs_root
def test_events_are_counted_when_not_even_the_first_found_room(place: Place) -> None:
    (place.folder / "disk").mkdir()
    with small_disk(place.folder / "disk", "64k") as disk:
        output, complaint = disk / "output", place.folder / "complaint"
        with output.open("wb") as stdout, complaint.open("wb") as stderr:
            ballast = fill(disk)
            with begin(place, stdout=stdout.fileno(), stderr=stderr.fileno()) as up:
                poll_until(lambda: b"events are not shown" in complaint.read_bytes(), LIMIT)
                ballast.unlink()
                restart(place)
                up.terminate()
                assert 0 == up.wait(LIMIT)
        said = output.read_text(encoding="utf-8").replace("\0", "")
    assert "events are not shown: see `suptree events" in said.splitlines()[0]
    assert "t: 0 processes left" == said.splitlines()[-1]
    expect_orderly_end(place)


@needs_root
def test_events_that_find_a_full_disk_are_counted_and_the_next_ones_are_shown(place: Place) -> None:
    (place.folder / "disk").mkdir()
    with small_disk(place.folder / "disk", "64k") as disk:
        output, complaint = disk / "output", place.folder / "complaint"
        with (
            output.open("wb") as stdout,
            complaint.open("wb") as stderr,
            begin(place, stdout=stdout.fileno(), stderr=stderr.fileno()) as up,
        ):
            poll_until(lambda: b"t is up" in output.read_bytes(), LIMIT)
            # To the end of a page, so that each further line needs another one.
            os.write(stdout.fileno(), b"." * (-output.stat().st_size % resource.getpagesize()))
            ballast = fill(disk)
            restart(place)
            poll_until(lambda: b"events are not shown" in complaint.read_bytes(), LIMIT)
            ballast.unlink()
            restart(place)
            up.terminate()
            assert 0 == up.wait(LIMIT)
        said = output.read_text(encoding="utf-8")
    assert "events are not shown: see `suptree events" in said
    assert "t: 0 processes left" == said.splitlines()[-1]
    expect_orderly_end(place)


def test_a_stopped_terminal_holds_up_no_sigterm(place: Place) -> None:
    controller, terminal = pty.openpty()
    tty.setcbreak(terminal)
    with begin(place, stdout=terminal, stderr=terminal) as up:
        termios.tcflow(terminal, termios.TCOOFF)
        restart(place)
        expect_to_hear_sigterm_soon(place, up)
    os.close(terminal)
    os.close(controller)
    expect_orderly_end(place)


def test_a_full_stderr_holds_up_no_sigterm(place: Place) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, bytes(4096))
    # What is said of a full disk would go to stderr.
    full = os.open("/dev/full", os.O_WRONLY)
    with begin(place, stdout=full, stderr=writer) as up:
        restart(place)
        expect_to_hear_sigterm_soon(place, up)
    for end in (reader, writer, full):
        os.close(end)
    expect_orderly_end(place)


LONG_LINE = """
import asyncio, signal, sys
from suptree.scripts.printer import Printer
async def main():
    loop, printer = asyncio.get_running_loop(), Printer()
    heard = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    long = asyncio.ensure_future(printer.say("y" * 1_000_000))
    await asyncio.sleep(0)
    print("prints", file=sys.stderr, flush=True)
    await heard.wait()
    assert not long.done()
    long.cancel()
asyncio.run(main())
"""


def test_a_line_that_is_longer_than_a_full_pipe_holds_up_no_signal_and_no_end() -> None:
    reader, writer = os.pipe()
    with subprocess.Popen([sys.executable, "-c", LONG_LINE], stdout=writer, stderr=subprocess.PIPE, text=True) as printing:
        assert printing.stderr is not None
        assert "prints\n" == printing.stderr.readline()
        printing.terminate()
        assert (0, "") == (printing.wait(SOON), printing.stderr.read())
    for end in (reader, writer):
        os.close(end)
