"""A program as it was written for a process manager of its own; of that one only the imports have changed."""

import asyncio
import json
import os
import sys

from suptree.actors import AgentProcess, AgentStatus, AgentType, NativeLLMAgent, NativeLLMAgentFactory
from suptree.control import get_agent_registry, get_heartbeat_service, get_process_manager, reset_process_manager

MODEL = {"name": "Ada", "role": "planner", "model": "gpt-4o", "env": {"OPENAI_API_KEY": "sk-none"}}


class Planner:
    """An agent of the program's own, with a factory as the contract has it."""

    def __init__(self, agent_id, config):
        self.agent_id, self.config = agent_id, config

    @classmethod
    async def create(cls, agent_id, name, role, model, config):
        return cls(agent_id, config)

    async def run(self):
        await self.update_heartbeat("planning")
        await asyncio.Event().wait()

    async def health_check(self):
        return True

    async def update_heartbeat(self, status):
        print(f"{self.agent_id}: {status}, depth {self.config['depth']}")

    async def shutdown(self):
        print(f"{self.agent_id}: shut down")


async def poll(look, expected):
    async with asyncio.timeout(30):
        while await look() != expected:  # noqa: ASYNC110  (as such programs did)
            await asyncio.sleep(0.02)


async def main():
    seen = {}
    pm, registry, heartbeats = get_process_manager(), get_agent_registry(), get_heartbeat_service()
    assert pm is get_process_manager()
    changes = []
    registry.subscribe(lambda agent: changes.append((agent.agent_id, agent.status)))

    # Agents of both types; the type and the factory may be left out.
    assert await pm.start_agent("llm", config=MODEL)
    own = {"factory": "original_contract:Planner.create", "role": "planner", "config": {"depth": 3}}
    assert await pm.start_agent("planner", "native_llm", own)
    sleep = {"command": "sleep", "args": ["1000000"], "auto_restart": True, "max_restarts": 2}
    assert await pm.start_agent("tool", AgentType.PROCESS_WRAPPER, sleep)
    assert not await pm.start_agent("tool", "process_wrapper", {"command": "sleep"})

    # What is known of them.
    assert {"llm", "planner", "tool"} == set(pm.processes)
    tool = pm.processes["tool"]
    assert isinstance(tool, AgentProcess) and tool.agent_type is AgentType.PROCESS_WRAPPER and tool.is_alive and tool.restart_count == 0
    assert (tool.config["command"], tool.config["max_restarts"]) == ("sleep", 2)
    assert pm.processes["llm"].agent_type is AgentType.NATIVE_LLM
    assert pm.get_agent_status("tool") is AgentStatus.RUNNING and pm.get_agent_status("nobody") is AgentStatus.UNKNOWN
    assert ["llm", "planner"] == [agent.agent_id for agent in registry.find(role="planner")]
    assert ["llm", "planner", "tool"] == pm.get_running_agents()
    assert all((await pm.monitor_agent_health()).values())
    seen["summary"] = pm.get_summary()

    # Signs of life; the program's own ones too.
    async def planner_says():
        return (await heartbeats.get("planner")).status

    heartbeats.update("main", "working")
    await poll(planner_says, "planning")
    seen["heartbeats"] = sorted(await heartbeats.get_all())
    assert (await heartbeats.get("main")).status == "working" and (await heartbeats.get("llm")).age < 30

    # A crash is repaired, a limit is kept, and what a person asks is done.
    async def tool_stands():
        return pm.get_agent_status("tool"), pm.processes["tool"].restart_count

    for stands in ((AgentStatus.RUNNING, 1), (AgentStatus.RUNNING, 2), (AgentStatus.CRASHED, 2)):
        os.kill(pm.processes["tool"].pid, 9)
        await poll(tool_stands, stands)
    assert await pm.restart_agent("tool")
    seen["restarts"] = pm.processes["tool"].restart_count
    assert await pm.stop_agent("planner", graceful=True) and not await pm.stop_agent("planner")
    assert ("planner", AgentStatus.STOPPED) in changes

    # The factory, without a process manager.
    os.environ["OPENAI_API_KEY"] = "sk-none"
    agent = await NativeLLMAgentFactory.create("own", "Own", "helper", "gpt-4o", {})
    assert isinstance(agent, NativeLLMAgent) and isinstance(Planner("own", {}), NativeLLMAgent)
    await agent.shutdown()

    await pm.start_monitor(interval=1)
    await pm.stop_monitor()
    await pm.shutdown_all()
    assert [] == pm.get_running_agents()
    reset_process_manager()
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
