"""Memory: what counts as used, and whose death the kernel's OOM killer is."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from suptree.actors.agent import usage_limits
from suptree.actors.agent.usage_limits import UsageLimits, memory_of, resident_memory_of
from suptree.actors.kernel.linux import with_descendants
from suptree.actors.spec.agent_spec import LimitSpec
from suptree.testing import LiveTree, kill

from .hostile_fleet import PROGRAMS, SETTLE
from .test_exits_of_real_processes import kernel_limits_memory

SHARED = 60_000_000


@contextmanager
def sharing() -> Iterator[int]:
    """The pid of a program that has forked five times since it took its memory."""
    with subprocess.Popen([sys.executable, "-SE", str(PROGRAMS / "shares_memory.py")], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert b"forked\n" == program.stdout.readline()
        pids = with_descendants(program.pid)
        try:
            yield program.pid
        finally:
            for pid in reversed(pids):
                kill(pid)


def test_memory_that_several_processes_share_counts_once() -> None:
    with sharing() as pid:
        assert 6 * SHARED < resident_memory_of(pid)
        assert SHARED < memory_of(pid) < 2 * SHARED


def exceeds(pid: int, most: int) -> bool:
    """Whether a process and its descendants are found to use more."""

    async def watch() -> list[str]:
        said: list[str] = []
        limits = UsageLimits(LimitSpec(memory_max=most), lambda _cause, why: said.append(why))
        limits.begin(lambda: [pid])
        # Long enough for one look, and too short for a second.
        await asyncio.sleep(0.8)
        limits.end()
        return said

    return bool(asyncio.run(watch()))


@pytest.mark.parametrize(("most", "exceeded"), [(2 * SHARED, False), (SHARED, True)])
def test_a_program_that_forks_is_ended_for_what_it_uses_in_truth(most: int, exceeded: bool) -> None:
    with sharing() as pid:
        assert exceeded is exceeds(pid, most)


def test_code_of_an_agent_that_cancels_every_task_does_not_end_the_watch() -> None:
    async def watch(*more: int) -> list[str]:
        said: list[str] = []
        pids = [os.getpid()]
        limits = UsageLimits(LimitSpec(pids_max=len(with_descendants(*pids))), lambda _cause, why: said.append(why))
        limits.begin(lambda: pids)
        await asyncio.sleep(0.1)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        pids += more
        await asyncio.sleep(1.5)
        limits.end()
        await asyncio.sleep(0.1)
        assert {asyncio.current_task()} == asyncio.all_tasks()
        return said

    assert (0, 1) == (len(asyncio.run(watch())), len(asyncio.run(watch(os.getppid()))))


def test_what_there_is_no_time_to_look_at_counts_as_if_it_shared_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_limits, "_LONGEST_LOOK", 0.0)
    with sharing() as pid:
        assert exceeds(pid, 2 * SHARED)
        assert not exceeds(pid, 20 * SHARED)


def test_a_process_that_is_gone_uses_nothing() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
        assert 0 == memory_of(ended.pid)


HELPER = "import sys; eaten = [bytearray(b'x') * 2_000_000 for _ in range(256)]"


def table(agent: str, script: str, *arguments: str) -> str:
    return f"""
[agents.{agent}]
type = "process_wrapper"
command = "sh"
args = {json.dumps(["-c", script, "sh", *arguments])}
restart = "temporary"
limits = {{ memory_max = "64M" }}
"""


@pytest.mark.skipif(not kernel_limits_memory(), reason="the kernel limits no memory here")
def test_a_helper_that_is_killed_because_memory_was_short_is_a_note_and_the_end_has_its_own_class(tmp_path: Path) -> None:
    helper = [sys.executable, "-SEc", HELPER]
    agents = (
        table("finishes", '"$@"; echo helper ended with $?; exit 0', *helper),
        table("fails", '"$@"; exit 3', *helper),
        table("passes-on", '"$@"; exit $?', *helper),
    )
    with LiveTree('[tree]\nname = "helpers"\n' + "".join(agents)) as running:
        status = running.wait_until(lambda status: all(row["last_exit"] for row in status["agents"]), 2 * SETTLE)
        note = "the kernel killed a process of it because memory was short"
        assert {"finishes": ("normal", "exit 0"), "fails": ("failed", "exit 3"), "passes-on": ("oom", f"{note}; exit 137 (SIGKILL)")} == {
            row["id"]: (row["last_exit"]["class"], row["last_exit"]["reason"]) for row in status["agents"]
        }
        death = running.ask(lambda client: client.explanation("fails"))["deaths"][0]
        assert [f"While it ran, {note}; it ended later, and otherwise."] == death["evidence"]["notes"]
        assert 32 * 2**20 < death["evidence"]["usage"]["peak_memory"] <= 64 * 2**20


FIRST_THREAD_ENDS = """
import ctypes, threading, time
def hold():
    kept = bytearray(100 * 1024 * 1024)
    for place in range(0, len(kept), 4096): kept[place] = 1
    print("holds", flush=True)
    time.sleep(1000)
threading.Thread(target=hold).start()
ctypes.CDLL(None).syscall(60, 0)
"""


def test_memory_counts_also_when_the_first_thread_of_a_program_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", FIRST_THREAD_ENDS], stdout=subprocess.PIPE) as program:
        try:
            assert program.stdout is not None
            assert b"holds\n" == program.stdout.readline()
            assert memory_of(program.pid) > 90 * 1024 * 1024
            assert resident_memory_of(program.pid) > 90 * 1024 * 1024
        finally:
            program.kill()
