"""What a cleaner of temporary folders, the last logout or a person removes while a tree runs is made again, and nobody is killed."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.polling import poll_until

from .commands import LIMIT, SLEEPER, Place, send

# Connects anew for each ping, as systemd-notify does.
PINGS = """
import os, socket, time
def say(word):
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(word, os.environ["NOTIFY_SOCKET"])
    except OSError:
        pass
say(b"READY=1")
while True:
    say(b"WATCHDOG=1")
    time.sleep(0.5)
"""
WATCHED = f"""
{SLEEPER}
[agents.pings]
type = "process_wrapper"
command = {sys.executable!r}
args = ["-u", "pings.py"]
ready = "notify"
watchdog = true
heartbeat = {{ suspect_after = 1.5, dead_after = 3 }}
"""


SILENCE = 5.0


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Place(tmp_path_factory, WATCHED) as place:
        (place.folder / "pings.py").write_text(PINGS, encoding="utf-8")
        yield place


def incarnations(place: Place) -> dict[str, int]:
    return {row["id"]: row["incarnation"] for row in place.status()["agents"]}


@pytest.mark.parametrize("how", ["removed", "renamed", "its files removed"])
def test_the_runtime_folder_comes_back_and_nobody_is_killed(place: Place, how: str) -> None:
    run = place.up()
    runtime = Path(run["runtime"])
    names = {path.name for path in runtime.iterdir()}
    if how == "removed":
        shutil.rmtree(place.runtime, ignore_errors=True)
    elif how == "renamed":
        runtime.rename(runtime.with_name("elsewhere"))
    else:
        for path in runtime.iterdir():
            path.unlink()
    poll_until(lambda: runtime.is_dir() and names == {path.name for path in runtime.iterdir()}, 2.0)
    # Longer than the watchdog of a program whose pings would be lost.
    registry = place.status()["pids"]["registry"]
    send(registry)
    poll_until(lambda: place.status()["pids"]["registry"] not in (registry, None), LIMIT)
    psutil.wait_procs([psutil.Process(run["pid"])], timeout=5)
    assert {"a": 1, "pings": 1} == incarnations(place)
    assert 0 == place.log().count("actor_failed")
    shutil.rmtree(runtime.with_name("elsewhere"), ignore_errors=True)
    place.expect_down()
    assert not runtime.exists()


def test_a_new_heartbeat_actor_keeps_the_sockets_in_place_too(place: Place) -> None:
    run = place.up()
    notify = Path(run["runtime"]) / "notify.sock"
    for _ in range(2):
        died = place.status()["pids"]["heartbeat"]
        send(died)
        notify.unlink()
        poll_until(lambda died=died: place.status()["pids"]["heartbeat"] not in (died, None), LIMIT)  # type: ignore[misc]
        poll_until(notify.exists, 5.0)
    assert {"a": 1, "pings": 1} == incarnations(place)
    place.expect_down()


def test_where_the_folder_cannot_be_made_again_the_tree_is_found_elsewhere(place: Place) -> None:
    run = place.up()

    def is_replaced() -> bool:
        # The launcher may be faster, and make the folder again in between.
        shutil.rmtree(place.runtime, ignore_errors=True)
        with contextlib.suppress(IsADirectoryError):
            place.runtime.write_text("no folder", encoding="utf-8")
        return place.runtime.is_file()

    poll_until(is_replaced, LIMIT)
    poll_until(lambda: place.suptree("status").returncode == 0, 20.0)
    assert run["runtime"] != place.run["runtime"]
    assert {"a": 1, "pings": 1} == incarnations(place)
    elsewhere = Path(place.run["runtime"])
    place.expect_down()
    assert not elsewhere.exists()


def test_the_state_folder_comes_back_and_the_tree_is_found(place: Place) -> None:
    run = place.up()
    shutil.rmtree(place.state, ignore_errors=True)
    poll_until(lambda: (place.state / "lock").exists() and (place.state / "run.json").exists(), 5.0)
    again = place.suptree("up", str(place.file), "-d")
    assert (1, f"launcher pid {run['pid']}" in again.stdout) == (again.returncode, True), again.stdout
    assert 1 == incarnations(place)["a"]
    place.expect_down()


@pytest.mark.parametrize("make", ["ln -s /dev/zero other", "mkfifo other", "truncate -s 10G other"])
def test_whatever_takes_the_place_of_the_run_file_it_is_written_again(place: Place, make: str) -> None:
    run = place.up()
    subprocess.run(["sh", "-ec", f"{make}; mv -T other run.json"], cwd=place.state, check=True)
    run_file = place.state / "run.json"
    poll_until(lambda: run_file.is_file() and not run_file.is_symlink() and run_file.stat().st_size < 10_000, 10.0)
    assert run == place.run
    assert 1 == incarnations(place)["a"]
    assert psutil.Process(run["pid"]).memory_info().rss < 300_000_000
    place.expect_down()


@pytest.mark.parametrize("mode", [0, 0o500])
def test_a_folder_that_was_closed_to_its_own_user_is_open_again(place: Place, mode: int) -> None:
    run = place.up()
    for folder in (place.state, Path(run["runtime"])):
        folder.chmod(mode)
        poll_until(lambda folder=folder: folder.stat().st_mode & 0o777 == 0o700, 10.0)  # type: ignore[misc]
    assert ({"a": 1, "pings": 1}, 2) == (incarnations(place), place.log().count("made_again"))
    assert (run["pid"], run["runtime"]) == (place.run["pid"], place.run["runtime"])
    place.expect_down()


def test_to_watch_the_folders_costs_an_idle_tree_nothing(place: Place) -> None:
    pids = (place.up()["pid"], place.status()["pids"]["heartbeat"])
    watching = [psutil.Process(pid) for pid in pids]
    before = [process.cpu_times() for process in watching]
    time.sleep(SILENCE)
    used = [now.user + now.system - then.user - then.system for now, then in zip((p.cpu_times() for p in watching), before, strict=True)]
    # The heartbeat actor hears two pings a second.
    assert [True, True] == [seconds < SILENCE / 50 for seconds in used], used
    place.expect_down()


def test_no_agent_inherits_the_way_to_the_launcher(place: Place) -> None:
    place.up()
    for row in place.status()["agents"]:
        found = [str(path.readlink()) for path in Path(f"/proc/{row['pid']}/fd").iterdir()]
        assert [] == [name for name in found if "socket" in name]
    assert not any(path.name.startswith("link") for path in Path(place.run["runtime"]).iterdir())
    place.expect_down()


def test_a_socket_of_a_dead_tree_misleads_nobody(place: Place) -> None:
    run = place.up()
    place.expect_down()
    runtime = Path(run["runtime"])
    runtime.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(runtime / "control.sock"))
        left.listen()
        assert 3 == place.suptree("status").returncode
        assert 0 == place.suptree("up", str(place.file), "-d").returncode
    place.expect_down()
