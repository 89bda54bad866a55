"""One answer for every command, which the kernel gives: whatever the caller's environment says, and whatever the files say."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from suptree.control.seal.tree_key import key_path
from suptree.control.trees.paths import TreePaths
from suptree.control.trees.standing import standing
from tests.full_disk import needs_root
from tests.polling import poll_until

from .commands import LIMIT, SLEEPER, Place, send, stranger


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Place(tmp_path_factory) as place:
        yield place


def pids(place: Place) -> dict[str, Any]:
    status = place.status()
    return {**status["pids"], **{row["id"]: (row["pid"], row["incarnation"]) for row in status["agents"]}}


@pytest.mark.parametrize("runtime", [None, "relative"])
def test_a_tree_is_found_whatever_runtime_folder_the_caller_has(place: Place, runtime: str | None) -> None:
    run = place.up()
    done = place.suptree("status", "--json", XDG_RUNTIME_DIR=runtime)
    assert (0, run["pid"]) == (done.returncode, json.loads(done.stdout)["pids"]["launcher"])
    again = place.suptree("up", str(place.file), "-d", XDG_RUNTIME_DIR=runtime)
    assert (1, f"launcher pid {run['pid']}" in again.stdout) == (again.returncode, True)
    down = place.suptree("down", XDG_RUNTIME_DIR=runtime)
    assert (0, "t: 0 processes left\n") == (down.returncode, down.stdout)


def test_another_pid_in_the_run_file_is_never_signalled(place: Place) -> None:
    run = place.up()
    with stranger() as other:
        (place.state / "run.json").write_text(json.dumps({**run, "pid": other.pid}), encoding="utf-8")
        done = place.suptree("down", "--timeout", "3")
        assert (0, "t: 0 processes left\n", None) == (done.returncode, done.stdout, other.poll())
    assert [] == place.processes()


@pytest.mark.parametrize("begun", [True, False])
def test_a_stranger_with_the_pid_of_a_dead_launcher_is_left_alone(place: Place, begun: bool) -> None:
    run = place.up()
    send(run["pid"])
    poll_until(lambda: not place.processes(), LIMIT)
    with stranger() as other:
        started = int(Path(f"/proc/{other.pid}/stat").read_bytes().rpartition(b")")[2].split()[19]) if begun else run["started"]
        (place.state / "run.json").write_text(json.dumps({**run, "pid": other.pid, "started": started}), encoding="utf-8")
        assert 3 == place.suptree("down", "--timeout", "1").returncode
        place.up()
        assert other.poll() is None
    place.expect_down()


@needs_root
def test_one_in_another_pid_namespace_that_has_it_keeps_no_tree_from_starting(place: Place) -> None:
    run = place.up()
    send(run["pid"])
    poll_until(lambda: not place.processes(), LIMIT)
    with subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "sleep", "1000"]) as outside:
        (inside,) = poll_until(lambda: psutil.Process(outside.pid).children(), LIMIT)
        (place.state / "run.json").write_text(json.dumps({**run, "pid": inside.pid}), encoding="utf-8")
        assert 3 == place.suptree("status").returncode
        place.up()
        place.expect_down()
        outside.kill()


@pytest.mark.parametrize("removed", [["lock"], ["lock", "run.json"]])
@pytest.mark.parametrize("stopped", [False, True])
def test_up_refuses_a_tree_whose_files_were_removed_and_leaves_it_alone(place: Place, removed: list[str], stopped: bool) -> None:
    run = place.up()
    before = pids(place)
    if stopped:
        send(run["pid"], signal.SIGSTOP)
    for name in removed:
        (place.state / name).unlink()
    again = place.suptree("up", str(place.file), "-d")
    send(run["pid"], signal.SIGCONT)
    assert (1, f"launcher pid {run['pid']}" in again.stdout) == (again.returncode, True), again.stdout
    poll_until(lambda: all((place.state / name).exists() for name in removed), LIMIT)
    assert before == pids(place)
    place.expect_down()


def test_a_lock_that_was_removed_is_held_again_within_a_second(place: Place) -> None:
    run = place.up()
    (place.state / "lock").unlink()
    poll_until((place.state / "lock").exists, 1.0)
    paths = TreePaths("t", place.state, Path("/nowhere"))
    poll_until(lambda: (found := standing(paths)) is not None and found.pid == run["pid"], 1.0)
    place.expect_down()


def test_the_copy_of_a_tree_that_runs_is_another_tree(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    run = place.up()
    before = pids(place)
    with Place(tmp_path_factory) as other:
        shutil.copytree(place.home, other.home, dirs_exist_ok=True, ignore=lambda *_: [])
        assert 3 == other.suptree("status").returncode
        assert run["pid"] != other.up()["pid"]
        assert before == pids(place)
        other.expect_down()
    assert before == pids(place)
    place.expect_down()


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("runtime", ["the same", None])
def test_a_renamed_state_folder_is_the_same_tree_by_each_of_its_names(place: Place, linked: bool, runtime: str | None) -> None:
    """Whether a link leads from the old name to the new one, or the launcher has made the folder again."""
    run = place.up()
    before = pids(place)
    send(run["pid"], signal.SIGSTOP)
    renamed = place.state.rename(place.state.with_name("real"))
    if linked:
        place.state.symlink_to(renamed.name)
    send(run["pid"], signal.SIGCONT)
    poll_until((place.state / "run.json").exists, LIMIT)
    given = str(place.runtime) if runtime else None
    for name in ([], ["--tree", "t"], ["--tree", "real"]):
        status = place.suptree("status", "--json", *name, XDG_RUNTIME_DIR=given)
        assert (0, run["pid"]) == (status.returncode, json.loads(status.stdout)["pids"]["launcher"]), status.stdout
        assert 0 == place.suptree("logs", "a", *name, XDG_RUNTIME_DIR=given).returncode
    doctor = json.loads(place.suptree("doctor", "--json", XDG_RUNTIME_DIR=given).stdout)
    assert 1 == sum(finding["feature"].startswith("journal of ") for finding in doctor)
    assert before == pids(place)
    down = place.suptree("down", "--tree", "real", XDG_RUNTIME_DIR=given)
    assert (0, "t: 0 processes left") == (down.returncode, down.stdout.splitlines()[-1])
    poll_until(lambda: not place.processes(), LIMIT)


def test_a_run_file_of_another_tree_leads_nowhere(place: Place) -> None:
    place.up()
    second = place.folder / "u.toml"
    second.write_text(SLEEPER.replace('"t"', '"u"'), encoding="utf-8")
    assert 0 == place.suptree("up", str(second), "-d").returncode
    before = place.suptree("status", "--tree", "t", "--json").stdout
    shutil.copy(place.state / "run.json", place.home / "trees" / "u" / "run.json")
    assert 0 == place.suptree("down", "--tree", "u").returncode
    after = place.suptree("status", "--tree", "t", "--json")
    assert (0, json.loads(before)["pids"]) == (after.returncode, json.loads(after.stdout)["pids"])
    place.expect_down()


@pytest.mark.parametrize("content", ["", "[]"])
def test_a_run_file_that_says_nothing_of_use_hides_no_tree(place: Place, content: str) -> None:
    run = place.up()
    send(run["pid"], signal.SIGSTOP)
    (place.state / "run.json").write_text(content, encoding="utf-8")
    again = place.suptree("up", str(place.file), "-d")
    send(run["pid"], signal.SIGCONT)
    assert (1, f"launcher pid {run['pid']}" in again.stdout) == (again.returncode, True)
    poll_until(lambda: (place.state / "run.json").read_text(encoding="utf-8") != content, LIMIT)
    place.expect_down()


@pytest.mark.parametrize("also", ["nothing", "actors"])
def test_a_stopped_launcher_is_ended_in_the_promised_time(place: Place, also: str) -> None:
    run = place.up()
    begun = time.monotonic()
    for process in place.processes() if also == "actors" else [psutil.Process(run["pid"])]:
        process.suspend()
    done = place.suptree("down", "--timeout", "3")
    took = time.monotonic() - begun
    assert (0, "t: 0 processes left") == (done.returncode, done.stdout.splitlines()[-1])
    assert took < 20
    assert [] == place.processes()


@contextlib.contextmanager
def tree_in_a_container(place: Place) -> Iterator["subprocess.Popen[bytes]"]:
    """An `up` in a pid namespace of its own, whose tree runs."""
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-m", "suptree.scripts.main", "up"]
    inside = subprocess.Popen([*command, str(place.file)], env=place.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        poll_until(lambda: (place.state / "run.json").exists() and any(place.runtime.glob("suptree/*/control.sock")), LIMIT)
        yield inside
    finally:
        inside.kill()
        inside.wait(60)


def test_another_pid_namespace_is_named_in_one_sentence_by_every_command(place: Place) -> None:
    with tree_in_a_container(place) as inside:
        namespace, key = place.run["place"]["pid_namespace"], key_path(place.state).read_bytes()
        commands = (["up", str(place.file), "-d"], ["status"], ["down"], ["stop", "a"], ["status", "--tree", "t"])
        for command in (*commands, ["key", "--tree", "t", "--rotate"]):
            done = place.suptree(*command)
            assert (1, 1) == (done.returncode, len(done.stdout.splitlines())), done.stdout
            assert f"in pid namespace {namespace}" in done.stdout
            assert "give the command there" in done.stdout
        assert key == key_path(place.state).read_bytes()
        assert inside.poll() is None
    poll_until(lambda: not place.processes(), LIMIT)


@pytest.mark.parametrize("file", ["lock", "run.json"])
def test_a_tree_in_a_container_is_known_from_outside_whichever_file_is_gone(place: Place, file: str) -> None:
    with tree_in_a_container(place):
        (place.state / file).unlink()
        done = place.suptree("up", str(place.file), "-d")
        assert (1, True) == (done.returncode, "pid namespace" in done.stdout), done.stdout


OWN_MOUNTS = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o mode=0700 tmpfs "$0" && exec "$@"')


@needs_root
@pytest.mark.parametrize("apart", ["tree", "command"])
def test_a_tree_that_runs_in_another_mount_namespace_is_named_and_can_be_ended(place: Place, apart: str) -> None:
    """As under PrivateTmp=yes: the folder of the socket is another one for each of the two."""
    before = (*OWN_MOUNTS, str(place.runtime))
    run = place.up(before=before if apart == "tree" else ())
    for command in (["status"], ["status", "--tree", "t"], ["stop", "a"], ["tell", "a", "hello"]):
        done = place.suptree(*command, before=before if apart == "command" else ())
        assert (1, 1) == (done.returncode, len(done.stdout.splitlines())), done.stdout
        assert f"tree 't' runs (launcher pid {run['pid']}), but in another mount namespace" in done.stdout
        assert f"{run['socket']} cannot be reached: give the command there (nsenter -t {run['pid']} -m)" in done.stdout
    there = place.suptree("status", "--json", before=("nsenter", "-t", str(run["pid"]), "-m"))
    assert (0, run["pid"]) == (there.returncode, json.loads(there.stdout)["pids"]["launcher"])
    down = place.suptree("down", before=before if apart == "command" else ())
    assert (0, "t: 0 processes left") == (down.returncode, down.stdout.splitlines()[-1])
    poll_until(lambda: not place.processes(), LIMIT)


NO_LOCKS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <dlfcn.h>
static int (*real)(int, int, ...);
int fcntl64(int fd, int command, ...) {
    va_list rest; va_start(rest, command); void *argument = va_arg(rest, void *); va_end(rest);
    if (command == F_SETLK || command == F_SETLKW) { errno = ENOLCK; return -1; }
    if (!real) real = dlsym(RTLD_NEXT, "fcntl64");
    return real(fd, command, argument);
}
int fcntl(int fd, int command, ...) {
    va_list rest; va_start(rest, command); void *argument = va_arg(rest, void *); va_end(rest);
    return fcntl64(fd, command, argument);
}
"""


def test_a_file_system_without_locks_is_reported_as_that(place: Place) -> None:
    source, library = place.folder / "no_locks.c", place.folder / "no_locks.so"
    source.write_text(NO_LOCKS, encoding="utf-8")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    done = place.suptree("up", str(place.file), "-d", LD_PRELOAD=str(library))
    assert 1 == done.returncode
    assert "cannot be locked (ENOLCK" in done.stdout
    assert "local disk" in done.stdout
    assert "already" not in done.stdout
