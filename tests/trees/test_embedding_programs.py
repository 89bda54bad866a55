"""A program that embeds a tree may have closed its streams, may fork, and may change its mind."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from suptree.control import ProcessManager
from tests.polling import poll_until

from .commands import LIMIT, Place

BEGIN = """
import asyncio, os, sys, time
from suptree.control import ProcessManager
SLEEPS = {"command": "sleep", "args": ["1000"]}
def write(text):
    with open(sys.argv[1], "a") as said:
        said.write(text + "\\n")
"""
CLOSED = """
async def main():
    # While the loop runs: what is opened next, the pipe by which the launcher says that it is ready, gets these numbers.
    for number in (0, 1, 2):
        os.close(number)
    sys.stdin = sys.stdout = sys.stderr = None
    async with ProcessManager() as pm:
        write(str(await pm.start_agent("a", "process_wrapper", SLEEPS)))
asyncio.run(main())
"""
FORKS = """
async def main():
    async with ProcessManager() as pm:
        await pm.start_agent("a", "process_wrapper", SLEEPS)
        child = os.fork()
        if child == 0:
            try:
                async def use():
                    write(f"child sees {list(pm.get_all_agents())}")
                    write(f"child stops {await pm.stop_agent('a')}")
                    write(f"child starts {await pm.start_agent('b', 'process_wrapper', SLEEPS)} {pm.get_running_agents()}")
                    await pm.shutdown_all()
                asyncio.run(use())
            finally:
                os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)
        write(f"parent has {pm.get_running_agents()} {(await pm.monitor_agent_health())}")
        write(f"parent restarts {await pm.restart_agent('a')}")
asyncio.run(main())
"""
IGNORES = """
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGUSR1, signal.SIGTERM})
async def main():
    async with ProcessManager() as pm:
        started = await pm.start_agent("a", "process_wrapper", SLEEPS)
        pid = pm.get_all_agents()["a"].pid
        masks = [line.split()[1] for line in open(f"/proc/{pid}/status") if line.startswith(("SigBlk", "SigIgn"))]
        # The C library has a program that it spawns ignore 32 and 33, its own signals, and Python 3.13 spawns by it.
        masks = [f"{int(mask, 16) & ~(0b11 << 31):016x}" for mask in masks]
        write(f"{started} {masks} {await pm.stop_agent('a')} {pm.get_all_agents()['a'].last_exit['class']}")
asyncio.run(main())
"""
NO_PYTHON = """
sys.executable = {executable!r}
from suptree.control.launcher.spawn import spawn_launcher
from suptree.actors.errors import SuptreeError
from pathlib import Path
async def main():
    try:
        await spawn_launcher("t", base=Path(sys.argv[1] + ".home"))
    except SuptreeError as error:
        write(str(error))
asyncio.run(main())
"""


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Place(tmp_path_factory) as place:
        yield place


def said_by(place: Place, program: str) -> list[str]:
    """What a program writes, which ends by itself and leaves no process."""
    path = place.folder / "said"
    with tempfile.TemporaryFile() as streams:
        done = subprocess.run(
            [sys.executable, "-c", BEGIN + program, str(path)],
            env={**place.environment, "ST_HOME": str(place.home), "TMPDIR": str(place.folder)},
            stdout=streams,
            stderr=streams,
            timeout=120,
            check=False,
        )
        streams.seek(0)
        assert 0 == done.returncode, streams.read()
    poll_until(lambda: not place.processes(), LIMIT)
    return path.read_text(encoding="utf-8").splitlines()


def test_a_program_that_closed_its_standard_streams_embeds_a_tree(place: Place) -> None:
    assert ["True"] == said_by(place, CLOSED)


def test_a_forked_child_has_a_manager_of_its_own_and_leaves_its_parents_tree_alone(place: Place) -> None:
    assert [
        "child sees []",
        "child stops False",
        "child starts True ['b']",
        "parent has ['a'] {'a': True}",
        "parent restarts True",
    ] == said_by(place, FORKS)
    assert [] == [*place.folder.glob("suptree-*")]


def test_what_the_program_ignores_or_blocks_reaches_no_agent(place: Place) -> None:
    (line,) = said_by(place, IGNORES)
    blocked, ignored = "0000000000000000", "0000000000000000"
    assert f"True ['{blocked}', '{ignored}'] True shutdown" == line


@pytest.mark.parametrize(
    ("executable", "words"), [(None, "sys.executable is None"), ("", "sys.executable is ''"), ("/bin/true", "'/bin/true'")]
)
def test_a_program_that_does_not_say_where_its_python_is_gets_one_clear_line(place: Place, executable: str | None, words: str) -> None:
    (line,) = said_by(place, NO_PYTHON.replace("{executable!r}", repr(executable)))
    assert words in line
    assert "on request" not in line
    assert "Python that has suptree" in line


@pytest.mark.parametrize("turns", [0, 1, 3, 30])
def test_a_first_start_that_is_cancelled_leaves_no_descriptor_and_no_process(turns: int) -> None:
    async def cancelled() -> None:
        pm = ProcessManager()
        start = asyncio.ensure_future(pm.start_agent("a", "process_wrapper", {"command": "sleep", "args": ["1000"]}))
        # The first request is prepared in a thread: each turn is a moment later.
        for _ in range(turns):
            await asyncio.sleep(0.01)
        start.cancel()
        await asyncio.sleep(0)
        start.cancel()
        await asyncio.wait({start})
        await pm.shutdown_all()
        assert start.cancelled()

    asyncio.run(cancelled())  # Whatever is opened once, for good, is opened now.
    before = sorted(path.name for path in Path("/proc/self/fd").iterdir())
    asyncio.run(cancelled())
    assert before == sorted(path.name for path in Path("/proc/self/fd").iterdir())
    assert "" == Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").strip()
