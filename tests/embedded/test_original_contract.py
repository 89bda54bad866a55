"""The contract of the process manager that suptree takes the place of: its defaults, and the objects that its users reach through it."""

import asyncio
import importlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from suptree.actors import AgentProcess, AgentStatus, AgentType, NativeLLMAgent, NativeLLMAgentFactory
from suptree.control import (
    Heartbeat,
    HeartbeatService,
    NativeAgent,
    ProcessAgent,
    get_agent_registry,
    get_heartbeat_service,
    get_process_manager,
    reset_process_manager,
)
from tests.polling import EVERY, poll_until_async
from tests.recipes.running import program as running_program

from .managed import AGENTS, SLEEP, STEADY, manager, run


@pytest.fixture(autouse=True)
def agents_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(AGENTS)


def test_an_agent_without_anything_is_the_shipped_one_and_a_missing_key_is_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not inherited unless a table names it")

    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_agent("a") is False

    run(program)
    for named in ("ANTHROPIC_API_KEY", "env_inherit", "env_from", "env"):
        assert named in caplog.text


def test_with_a_key_it_starts_and_takes_its_name_role_and_model() -> None:
    async def program() -> None:
        async with manager() as pm:
            key = {"OPENAI_API_KEY": "sk-none"}
            assert await pm.start_agent("a", config={"name": "Ada", "role": "answers", "model": "gpt-4o"}, env=key) is True
            agent = pm.get_all_agents()["a"]
            assert ("Ada", "answers", "gpt-4o", AgentType.NATIVE_LLM) == (agent.name, agent.role, agent.model, agent.agent_type)

    run(program)


def test_the_default_factory_and_the_contract_are_importable() -> None:
    steady = importlib.import_module("pm_agents").Steady()
    assert isinstance(steady, NativeLLMAgent)
    assert callable(NativeLLMAgentFactory.create)


def test_processes_are_a_read_only_copy() -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_agent("p", "process_wrapper", SLEEP)
            processes = pm.processes
            assert isinstance(processes, Mapping)
            assert isinstance(processes["p"], AgentProcess)
            with pytest.raises(TypeError):
                processes["q"] = processes["p"]  # type: ignore[index]
            await pm.stop_agent("p")
            assert (AgentStatus.RUNNING, AgentStatus.STOPPED) == (processes["p"].status, pm.processes["p"].status)

    run(program)


def test_the_registry_finds_agents_by_each_condition_and_tells_their_changes() -> None:
    async def program() -> None:
        async with manager() as pm:
            registry = pm.registry
            seen: list[tuple[str, str]] = []
            end = registry.subscribe(lambda agent: seen.append((agent.agent_id, agent.status.value)))
            assert await pm.start_agent(
                "p", ProcessAgent(command="sleep", args=["1000000"], role="sleeper", labels={"team": "red", "on": "1"})
            )
            assert await pm.start_agent("n", NativeAgent(factory="pm_agents:Steady", role="thinker"))
            assert await pm.stop_agent("n")
            found = {
                "id": registry.find(agent_id="p"),
                "role": registry.find(role="sleeper"),
                "type": registry.find(agent_type="process_wrapper"),
                "label": registry.find(labels={"team": "red"}),
                "status": registry.find(status=AgentStatus.RUNNING),
            }
            assert {key: ["p"] for key in found} == {key: [agent.agent_id for agent in agents] for key, agents in found.items()}
            assert [] == registry.find(labels={"team": "red", "on": "0"})
            assert (2, ["p", "n"], True, False) == (len(registry), list(registry), "p" in registry, "q" in registry)
            assert registry.get("q") is None
            with pytest.raises(ValueError, match="sleeping"):
                registry.find(status="sleeping")
            await poll_until_async(lambda: ("n", "stopped") in seen)
            assert ("p", "running") in seen
            end()
            count = len(seen)
            assert await pm.stop_agent("p")
            await asyncio.sleep(0)
            assert count == len(seen)

    run(program)


async def all_known(service: HeartbeatService) -> dict[str, Heartbeat]:
    """The heartbeats, as soon as the ages of all are known: what cannot be asked in a moment is not known, so this polls."""
    async with asyncio.timeout(30):
        while True:
            found = await service.get_all()
            if all(heartbeat.age is not None for heartbeat in found.values()):
                return found
            await asyncio.sleep(EVERY)


def test_the_heartbeat_service_knows_the_last_ping_and_status_of_each_agent() -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_agent("n", "native_llm", STEADY)
            service = pm.heartbeat_service
            service.update("here", "in the program itself")
            heartbeats = await all_known(service)
            assert {"n", "here"} == set(heartbeats)
            here, native = heartbeats["here"], heartbeats["n"]
            assert ("in the program itself", False) == (here.status, here.suspect)
            for heartbeat in (here, native):
                assert heartbeat.age is not None
                assert 0 <= heartbeat.age < 10
                assert heartbeat.last_ping is not None
                assert timedelta() <= datetime.now(UTC) - heartbeat.last_ping < timedelta(seconds=10)
            assert await service.get("nobody") is None

    run(program)


def test_the_heartbeats_of_a_program_itself_are_known_before_and_after_a_tree() -> None:
    async def program() -> None:
        async with manager() as pm:
            service = pm.heartbeat_service
            assert ({}, None) == (await service.get_all(), await service.get("main"))
            service.update("main", "working")

            async def known() -> tuple[set[str], str | None]:
                heartbeat = await service.get("main")
                assert heartbeat is not None
                return set(await service.get_all()), heartbeat.status

            assert ({"main"}, "working") == await known()
            assert await pm.start_agent("p", "process_wrapper", SLEEP)
            assert ({"main", "p"}, "working") == await known()
            await pm.shutdown_all()
            assert ({"main"}, "working") == await known()
            for bad in ("a b", "", "../x", None):
                with pytest.raises(ValueError, match="is no id: an id is 1 to 64 letters"):
                    service.update(bad, "working")  # type: ignore[arg-type]
            assert ({"main"}, "working") == await known()

    run(program)


def test_what_belongs_to_the_manager_of_the_program_is_found_without_it() -> None:
    async def program() -> None:
        reset_process_manager()
        try:
            assert await get_process_manager().start_agent("p", "process_wrapper", SLEEP)
            assert ["p"] == [agent.agent_id for agent in get_agent_registry().find(status="running")]
            assert "p" in await get_heartbeat_service().get_all()
            await get_process_manager().shutdown_all()
        finally:
            reset_process_manager()

    run(program)


def test_keys_may_be_given_as_arguments_beside_a_configuration() -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_agent("p", "process_wrapper", {"command": "sleep"}, args=["1000000"], role="sleeper", auto_restart=True)
            assert ("sleeper", ["1000000"]) == (pm.processes["p"].role, pm.processes["p"].config["args"])
            assert await pm.stop_agent("p")
            assert await pm.delete_agent("p") is True
            assert await pm.delete_agent("p") is False

    run(program)


def test_a_program_of_the_original_contract_runs_unchanged_but_for_its_imports(tmp_path: Path) -> None:
    path = Path(__file__).parents[1] / "programs" / "original_contract.py"
    with running_program(tmp_path, "python", str(path)) as running:
        assert (0, []) == running.ended(), running.output
        seen = json.loads(running.output.splitlines()[-1])
    ids = ["llm", "planner", "tool"]
    summary = {"total_agents": 3, "running_agents": 3, "running_agent_ids": ids, "status_counts": {"running": 3}, "monitor_running": False}
    assert {"summary": summary, "heartbeats": ["llm", "main", "planner", "tool"], "restarts": 2} == seen
