"""A program that has one tree after another: after the death of a launcher, and in one event loop after the other."""

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from suptree.actors import AgentStatus
from suptree.control import ProcessManager
from tests.polling import poll_until_async

from .managed import SLEEP, manager, run, standing


def test_a_launcher_that_dies_is_noticed_immediately_and_the_next_start_makes_a_new_tree(
    tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_folder))

    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_agent("a", "process_wrapper", SLEEP)
            assert await pm.restart_agent("a")
            psutil.Process().children()[0].kill()
            await poll_until_async(lambda: pm.get_running_agents() == [])
            agent = pm.get_all_agents()["a"]
            assert agent.last_exit is not None
            assert (AgentStatus.CRASHED, None, "the tree's launcher died") == (agent.status, agent.pid, agent.last_exit["reason"])
            assert (False, False) == (await pm.stop_agent("a"), await pm.restart_agent("a"))

            assert await pm.start_agent("a", "process_wrapper", SLEEP) is True
            assert {"a": ("running", 1)} == standing(pm)
            assert await pm.stop_agent("a") is True

    run(program)
    assert [] == [*(tmp_path / "tmp").iterdir(), *(short_folder / "suptree").iterdir()]


def test_a_start_right_after_the_death_of_the_launcher_makes_a_new_tree() -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_agent("a", "process_wrapper", SLEEP)
            launcher = psutil.Process().children()[0]
            launcher.kill()
            os.waitid(os.P_PID, launcher.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222  (the loop must not notice it yet)
            assert await pm.start_agent("b", "process_wrapper", SLEEP) is True
            assert {"a": ("crashed", 1), "b": ("running", 1)} == standing(pm)

    run(program)


def test_a_manager_serves_one_event_loop_after_another() -> None:
    pm = ProcessManager()

    async def first() -> None:
        await pm.start_monitor()
        # Both wait for the lock, in the loop that ends.
        await asyncio.gather(*(pm.start_agent(agent_id, "process_wrapper", SLEEP) for agent_id in ("a", "b")))
        assert await pm.restart_agent("a")

    async def second() -> None:
        assert pm.get_summary()["monitor_running"] is False
        started = await asyncio.gather(*(pm.start_agent(agent_id, "process_wrapper", SLEEP) for agent_id in ("c", "d")))
        assert [True, True] == started
        assert {"a": ("running", 2), "b": ("running", 1), "c": ("running", 1), "d": ("running", 1)} == standing(pm)
        assert await pm.restart_agent("a") is True
        assert await pm.stop_agent("b") is True
        assert {"a": True, "b": False, "c": True, "d": True} == await pm.monitor_agent_health()
        assert {"a": ("running", 3), "b": ("stopped", 1), "c": ("running", 1), "d": ("running", 1)} == standing(pm)

    async def third() -> None:
        await pm.shutdown_all()
        assert {"a": ("stopped", 3), "b": ("stopped", 1), "c": ("stopped", 1), "d": ("stopped", 1)} == standing(pm)
        assert [] == psutil.Process().children(recursive=True)

    for program in (first, second, third):
        run(program)


def test_a_tree_that_dies_between_two_event_loops_is_made_anew() -> None:
    pm = ProcessManager()

    async def first() -> None:
        assert await pm.start_agent("a", "process_wrapper", SLEEP)

    async def second() -> None:
        assert await pm.stop_agent("a") is False
        assert {"a": ("crashed", 1)} == standing(pm)
        assert await pm.start_agent("a", "process_wrapper", SLEEP) is True
        await pm.shutdown_all()
        assert [] == psutil.Process().children(recursive=True)

    run(first)
    family = psutil.Process().children(recursive=True)
    psutil.Process().children()[0].kill()
    psutil.wait_procs(family[1:], timeout=10)
    run(second)
