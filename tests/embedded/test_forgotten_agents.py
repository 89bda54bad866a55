"""Agents that a program deletes: nothing knows of them any more, whether or not their supervisor restarts them."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from suptree.actors import AgentStatus
from suptree.control import NativeAgent, ProcessAgent, ProcessManager
from tests.polling import poll_until_async

from .managed import AGENTS, SLEEP, manager, run, standing

SLEEPER = ProcessAgent(command="sleep", args=["1000000"])
COUNTER = NativeAgent(factory="asked_agents:Counter")


@pytest.fixture(autouse=True)
def agents_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(AGENTS)


async def known(pm: ProcessManager) -> list[object]:
    """What each reading says: the manager's own, and that of the tree, which the command line shows."""
    in_the_tree = sorted(await pm.heartbeat_service.get_all())
    return [sorted(pm.processes), sorted(pm.get_all_agents()), sorted(pm.registry), pm.get_summary()["total_agents"], in_the_tree]


@pytest.mark.parametrize("keys", [{}, {"auto_restart": True}], ids=["temporary", "restarted"])
def test_a_stopped_agent_that_is_deleted_is_forgotten_everywhere(keys: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_agent("a", SLEEPER, **keys)
            assert await pm.delete_agent("a") is False
            assert await pm.stop_agent("a")
            assert [["a"], ["a"], ["a"], 1, ["a"]] == await known(pm)

            assert await pm.delete_agent("a") is True
            assert [[], [], [], 0, []] == await known(pm)
            assert AgentStatus.UNKNOWN is pm.get_agent_status("a")
            caplog.clear()
            assert await pm.restart_agent("a") is False
            assert await pm.delete_agent("a") is False
            refusals = ["could not restart agent a: no agent 'a' in the tree", "could not delete a: no agent 'a' in tree 'embedded'"]
            assert refusals == caplog.messages
            assert await pm.stop_agent("a") is False

            assert await pm.start_agent("a", SLEEPER, **keys)
            assert [["a"], ["a"], ["a"], 1, ["a"]] == await known(pm)
            assert (None, 0) == (pm.processes["a"].last_exit, pm.processes["a"].restart_count)

    run(program)


def test_agents_that_ended_by_themselves_are_deleted_and_stay_so_when_the_registry_is_killed() -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_agent("stays", SLEEPER)
            for command in ("true", "false"):
                assert await pm.start_agent(command, ProcessAgent(command=command))
                await pm.wait_for(command, "stopped" if command == "true" else "crashed", timeout=20)
                assert await pm.delete_agent(command) is True
            assert ["stays"] == sorted(pm.processes)

            names = {process.name(): process for process in psutil.Process().children(recursive=True)}
            names["st:registry"].kill()
            async for entry in pm.events():
                if (entry.event.name, getattr(entry.event, "id", None)) == ("started", "registry"):
                    break
            await poll_until_async(lambda: pm.get_running_agents() == ["stays"])
            assert [["stays"], ["stays"], ["stays"], 1, ["stays"]] == await known(pm)

    run(program)


@pytest.mark.parametrize("keys", [{}, {"auto_restart": True}], ids=["temporary", "restarted"])
def test_the_checkpoint_of_a_deleted_agent_is_deleted_too(tmp_path: Path, keys: Any) -> None:
    async def program() -> None:
        async with ProcessManager(tmp_path) as pm:
            for counted in (1, 2):
                assert await pm.start_agent("a", COUNTER, **keys)
                assert counted == await pm.ask("a", "count")
                assert await pm.stop_agent("a")
            assert await pm.delete_agent("a") is True
            assert await pm.start_agent("a", COUNTER, **keys)
            assert 1 == await pm.ask("a", "count")

            await pm.shutdown_all()
            assert ["a"] == list(pm.processes)
            assert await pm.delete_agent("a") is True
            assert [] == list(pm.processes)
            assert await pm.delete_agent("a") is False
            assert await pm.start_agent("a", COUNTER, **keys)
            assert 1 == await pm.ask("a", "count")

    run(program)


def test_an_agent_of_an_earlier_tree_is_forgotten_while_another_tree_runs() -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_agent("a", SLEEPER)
            await pm.shutdown_all()
            assert await pm.start_agent("b", SLEEPER)
            assert ["a", "b"] == sorted(pm.processes)
            assert await pm.delete_agent("a") is True
            assert ["b"] == sorted(pm.processes)
            assert await pm.restart_agent("a") is False

    run(program)


def test_a_deleted_supervisor_takes_all_below_it_along_and_their_ids_are_free() -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_supervisor("writers")
            assert await pm.start_agent("w", "process_wrapper", SLEEP, supervisor="writers")
            assert await pm.stop_supervisor("writers")
            assert ["w"] == list(pm.processes)
            assert await pm.delete_supervisor("writers") is True
            assert [[], [], [], 0, []] == await known(pm)

            table = {"type": "process_wrapper", "supervisor": "writers", **SLEEP}
            assert ["writers", "w"] == await pm.apply({"supervisors": {"writers": {}}, "agents": {"w": table}})
            assert ["w"] == pm.get_running_agents()

    run(program)


def test_an_agent_whose_supervisor_was_killed_can_be_deleted() -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_supervisor("writers")
            assert await pm.start_agent("w", "process_wrapper", SLEEP, supervisor="writers", auto_restart=True)
            names = {process.name(): process for process in psutil.Process().children(recursive=True)}
            os.kill(names["st:writers"].pid, signal.SIGKILL)
            async for entry in pm.events():
                if (entry.event.name, getattr(entry.event, "id", None)) == ("started", "writers"):
                    break
            await poll_until_async(lambda: ("running", 1) != standing(pm)["w"])
            assert await pm.delete_agent("w") is True
            assert [[], [], [], 0, []] == await known(pm)

    run(program)
