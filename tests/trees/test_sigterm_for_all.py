"""SIGTERM to every process of a tree together, as systemd's `KillMode=control-group` sends it: the tree stops in order."""

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.polling import poll_until

from .commands import LIMIT, SUPTREE, Place

AGENTS = 15
# Those that trap the signal, those that die of it, and those that end well after it. A process that such a trap starts may get it too.
PROGRAMS = {
    "traps": """["-c", "trap 'sleep 0.7; : > trapped-$0; exit 0' TERM; while :; do sleep 0.05; done", "{id}"]""",
    "dies": """["-c", "exec sleep 1000", "{id}"]""",
    "obeys": """["-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done", "{id}"]""",
}
AGENT = """
[agents.{id}]
type = "process_wrapper"
supervisor = "{supervisor}"
command = "sh"
args = {args}
hooks = {{ post_exit = ["sh", "-c", "echo $SUPTREE_EXIT_CLASS >> post_exit-{id}"] }}
"""
IDS = [f"{kind}{number}" for number in range(AGENTS // len(PROGRAMS)) for kind in PROGRAMS]
TREE = '[tree]\nname = "t"\n[supervisors.group]\nstrategy = "one_for_all"\nmax_restarts = 50\n' + "".join(
    AGENT.format(id=id_, supervisor="group" if number % 2 else "root", args=PROGRAMS[id_[:-1]].format(id=id_))
    for number, id_ in enumerate(IDS)
)
NATIVE = """
[agents.native]
type = "native_llm"
factory = "ending_in_order:Native"
[agents.blocks]
type = "native_llm"
factory = "ending_in_order:Blocks"
heartbeat = { dead_after = 60 }
"""
# It ends a worker by SIGTERM, as multiprocessing does, while its tree is stopped by SIGTERM.
NATIVE_CODE = """
import asyncio, multiprocessing, pathlib, time

class Agent:
    def __init__(self, *args):
        pass

class Native(Agent):
    async def run(self):
        await asyncio.sleep(1000)
    async def shutdown(self):
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
        worker.start()
        worker.terminate()
        worker.join(10)
        pathlib.Path("FOLDER/native").write_text(f"shut down, {worker.exitcode}")

class Blocks(Agent):
    async def run(self):
        time.sleep(3)
        await asyncio.sleep(1000)
    async def shutdown(self):
        pathlib.Path("FOLDER/blocks").write_text("shut down")
"""

Order = Callable[[list[psutil.Process]], object]
ORDERS: dict[str, Order] = {
    "oldest first": list[psutil.Process].__len__,
    "youngest first": list[psutil.Process].reverse,
    "by chance": random.shuffle,
}


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Place(tmp_path_factory, TREE) as place:
        yield place


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """In here no process that we wake takes the processor from us, so that signals are sent together."""
    before = os.sched_getscheduler(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError as error:
        pytest.skip(f"no processor can be kept: {error.strerror}")
    try:
        yield
    finally:
        os.sched_setscheduler(0, before, os.sched_param(0))


def executable_of(pid: int) -> str:
    """Of a process that may have ended: empty then."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/exe").readlink().name
    return ""


def send(pids: Iterable[int]) -> None:
    """SIGTERM to those of the processes that have not ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def terminate_all(place: Place, order: Order) -> None:
    """SIGTERM to every process of the tree, and of what has started it."""
    processes = sorted(place.processes(), key=lambda process: process.create_time())
    order(processes)
    with undisturbed():
        send(process.pid for process in processes)


def events(place: Place) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(place.state / "journal.sqlite")) as journal:
        return [json.loads(row[0]) for row in journal.execute("SELECT event FROM events ORDER BY seq")]


def expect_orderly_end(place: Place) -> None:
    """Every hook has run once and every program had its time; nothing was restarted, nothing is left, and the end was on request."""
    poll_until(lambda: not place.processes(), LIMIT)
    assert dict.fromkeys(IDS, "shutdown\n") == {
        path.name.removeprefix("post_exit-"): path.read_text() for path in place.folder.glob("post_exit-*")
    }
    assert {f"trapped-{id_}" for id_ in IDS if id_.startswith("traps")} == {path.name for path in place.folder.glob("trapped-*")}
    log = [json.loads(line) for line in (place.state / "launcher.log").read_text(encoding="utf-8").splitlines()]
    (ended,) = [line for line in log if line["event"] == "tree_ended"]
    assert {"asked": True, "status": 0} == {key: ended[key] for key in ("asked", "status")}
    assert [] == [line for line in log if line["level"] in ("warning", "error")]
    for event, count in {"starting": 1, "exited": 1}.items():
        assert dict.fromkeys(IDS, count) == Counter(said["id"] for said in events(place) if said["event"] == f"agent_{event}")
    assert {"shutdown"} == {said["exit"]["class"] for said in events(place) if said["event"].endswith("_exited")}
    done = place.suptree("status")
    # Of a tree that gave up it would say so.
    assert (3, "suptree: no tree runs: start one with `suptree up FILE`\n") == (done.returncode, done.stdout)


@pytest.mark.parametrize("order", ORDERS)
def test_every_hook_runs_once_and_nothing_is_restarted_in_the_background(place: Place, order: str) -> None:
    place.up()
    assert AGENTS == len(place.status()["agents"])
    terminate_all(place, ORDERS[order])
    expect_orderly_end(place)


@pytest.mark.parametrize("order", ORDERS)
def test_every_hook_runs_once_and_nothing_is_restarted_in_the_foreground(place: Place, order: str) -> None:
    output = place.folder / "output"
    with (
        output.open("wb") as said,
        subprocess.Popen([SUPTREE, "up", str(place.file)], env=place.environment, stdout=said, stderr=said) as up,
    ):
        poll_until(lambda: b"t is up" in output.read_bytes(), LIMIT)
        terminate_all(place, ORDERS[order])
        assert 0 == up.wait(60)
    assert "t: 0 processes left" == output.read_text(encoding="utf-8").splitlines()[-1]
    expect_orderly_end(place)


def test_a_program_that_ends_before_its_actor_hears_the_signal_has_ended_on_request(place: Place) -> None:
    place.up()
    launcher = place.status()["pids"]["launcher"]
    processes = place.processes()
    actors = {process.pid for process in processes if "python" in executable_of(process.pid)} - {launcher}
    programs = {process.pid for process in processes} - {launcher, *actors}
    send([launcher, *programs])
    # Within the time that a sender may take, and long after an actor has seen the end of its program.
    time.sleep(0.1)
    send(actors)
    expect_orderly_end(place)


@pytest.mark.parametrize("order", ORDERS)
def test_native_agents_are_shut_down_in_order(place: Place, order: str) -> None:
    place.file.write_text('[tree]\nname = "t"\n' + NATIVE, encoding="utf-8")
    (place.folder / "ending_in_order.py").write_text(NATIVE_CODE.replace("FOLDER", str(place.folder)), encoding="utf-8")
    place.up()
    terminate_all(place, ORDERS[order])
    poll_until(lambda: not place.processes(), LIMIT)
    ends = {said["id"]: said["exit"]["reason"] for said in events(place) if said["event"] == "agent_exited"}
    assert {"native": "stop requested", "blocks": "stop requested"} == ends
    assert {"native": "shut down, -15", "blocks": "shut down"} == {name: (place.folder / name).read_text() for name in ends}


@pytest.fixture
def control_group() -> Iterator[Path]:
    """A control group of ours."""
    mount = next((line.split()[1] for line in Path("/proc/mounts").read_text(encoding="ascii").splitlines() if " cgroup2 " in line), None)
    if mount is None:
        pytest.skip("there is no cgroup v2")
    group = Path(mount, f"suptree-test-{os.getpid()}")
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error.strerror}")
    yield group
    for folder in (*sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True), group):
        folder.rmdir()


def terminate_group(group: Path) -> None:
    """As systemd does it (`cg_kill_recursive`): group by group, and again and again, until each process has had its signal."""
    sent: set[int] = set()
    while True:
        before = len(sent)
        for listing in (group / "cgroup.procs", *group.rglob("*/cgroup.procs")):
            with contextlib.suppress(OSError):
                for pid in map(int, listing.read_text(encoding="ascii").split()):
                    if pid not in sent:
                        sent.add(pid)
                        os.kill(pid, signal.SIGTERM)
        if len(sent) == before:
            return


def test_a_tree_in_a_control_group_that_is_terminated_ends_in_order(place: Place, control_group: Path) -> None:
    output = place.folder / "output"
    inside = ["sh", "-c", f'echo $$ > {control_group}/cgroup.procs && exec "$@"', "sh"]
    with (
        output.open("wb") as said,
        subprocess.Popen([*inside, SUPTREE, "up", str(place.file)], env=place.environment, stdout=said, stderr=said) as up,
    ):
        poll_until(lambda: b"t is up" in output.read_bytes(), LIMIT)
        terminate_group(control_group)
        assert 0 == up.wait(LIMIT)
    expect_orderly_end(place)
