"""A check for each line of `docs/from-a-process-manager.md`: what the line names does what the line says."""

import asyncio
import inspect
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from suptree.actors import AgentStatus, AgentType, NativeLLMAgent, NativeLLMAgentFactory
from suptree.actors.errors import CannotRun, RequestTimeout
from suptree.actors.events.entry import Entry
from suptree.control import (
    BlockingProcessManager,
    NativeAgent,
    ProcessAgent,
    ProcessManager,
    get_agent_registry,
    get_heartbeat_service,
    get_process_manager,
    reset_process_manager,
)
from tests.embedded.managed import SLEEP, STEADY
from tests.polling import poll_until_async

KEY = {"OPENAI_API_KEY": "sk-none"}
MODEL = {"name": "Ada", "role": "answers", "model": "gpt-4o"}

Check = Callable[[ProcessManager, Path], Awaitable[None]]


async def killed(pm: ProcessManager, agent_id: str) -> None:
    """Kill an agent, and return when its death is known."""
    agent = pm.processes[agent_id]
    assert agent.pid is not None
    os.kill(agent.pid, signal.SIGKILL)
    await poll_until_async(lambda: (pm.processes[agent_id].incarnation, pm.processes[agent_id].status) != (agent.incarnation, agent.status))


async def poll_status_text(pm: ProcessManager, agent_id: str, word: str) -> None:
    """Look every 50 ms, until an agent has said that of itself: its text comes with its pings."""
    async with asyncio.timeout(20):
        while word not in str((await pm.heartbeat_service.get_all())[agent_id].status):  # noqa: ASYNC110  (no event says so)
            await asyncio.sleep(0.05)


# One check a line, by its words of code.
CHECKS: dict[str, Check] = {}


def line(called: str) -> Callable[[Check], Check]:
    """The check of the line that has these words of code."""

    def known(check: Check) -> Check:
        assert called not in CHECKS
        CHECKS[called] = check
        return check

    return known


@line("ProcessManager()")
async def a_state_folder_is_a_home_of_the_command_line(pm: ProcessManager, state: Path) -> None:
    assert "embedded" in [path.name for path in (state / "trees").iterdir()]
    tree = state / "trees" / "embedded"
    assert (True, True) == ((tree / "journal.sqlite").is_file(), (tree / "logs").is_dir())
    suptree = Path(sys.executable).with_name("suptree")
    command = await asyncio.create_subprocess_exec(
        suptree, "status", "p", "--tree", "embedded", env={**os.environ, "SUPTREE_HOME": str(state)}, stdout=subprocess.PIPE
    )
    shown, _ = await command.communicate()
    assert (0, True) == (command.returncode, b"running" in shown)
    assert {} == ProcessManager().processes


@line("get_process_manager(), reset_process_manager()")
async def a_reset_does_not_wait_for_the_tree(pm: ProcessManager, state: Path) -> None:
    first = get_process_manager()
    assert first is get_process_manager()
    others = psutil.Process().children()
    stubborn = {"command": "sh", "args": ["-c", "trap '' INT TERM; sleep 1000001"], "stop": {"sigint": 0.5, "sigterm": 0.5}}
    assert await first.start_agent("r", "process_wrapper", stubborn)
    (launcher,) = (child for child in psutil.Process().children() if child not in others)
    below = launcher.children(recursive=True)
    reset_process_manager()
    assert launcher.is_running()
    assert first is not get_process_manager()
    assert [] == (await asyncio.to_thread(psutil.wait_procs, [launcher, *below], 20))[1]
    reset_process_manager()


@line('start_agent("a")')
async def an_agent_without_anything_is_the_shipped_one(pm: ProcessManager, state: Path) -> None:
    assert await pm.start_agent("default") is False
    assert await pm.start_agent("default", env={"ANTHROPIC_API_KEY": "sk-none"}) is True
    assert AgentType.NATIVE_LLM is pm.processes["default"].agent_type
    await poll_status_text(pm, "default", "requests")


@line('start_agent("a", "native_llm", {"name": …, "role": …, "model": …})')
async def a_native_agent_has_a_process_and_an_environment_of_its_own(pm: ProcessManager, state: Path) -> None:
    os.environ.update(KEY)
    try:
        assert await pm.start_agent("inherits", "native_llm", MODEL) is False
        assert await pm.start_agent("inherits", "native_llm", MODEL, env_inherit=[*KEY]) is True
    finally:
        for name in KEY:
            del os.environ[name]
    keys = state / "keys.env"
    keys.touch(0o600)
    keys.write_text("OPENAI_API_KEY=sk-none\n")
    assert await pm.start_agent("reads", "native_llm", {**MODEL, "env_from": str(keys)}) is True
    agent = pm.processes["inherits"]
    assert (MODEL, False) == ({"name": agent.name, "role": agent.role, "model": agent.model}, agent.pid in (None, os.getpid()))


@line('start_agent("a", "process_wrapper", {"command": …, "args": …})')
async def a_program_is_given_as_a_mapping_or_with_types(pm: ProcessManager, state: Path) -> None:
    assert await pm.start_agent("mapping", "process_wrapper", SLEEP) is True
    assert await pm.start_agent("typed", ProcessAgent(command="sleep", args=["1000000"])) is True
    assert await pm.start_agent("native", NativeAgent(factory="pm_agents:Steady")) is True
    kinds = {agent_id: pm.processes[agent_id].agent_type for agent_id in ("mapping", "typed", "native")}
    assert {"mapping": "process_wrapper", "typed": "process_wrapper", "native": "native_llm"} == kinds
    assert pm.processes["mapping"].config == pm.processes["typed"].config


@line("auto_restart, max_restarts")
async def nothing_is_restarted_unless_asked_for_and_the_limit_fires(pm: ProcessManager, state: Path) -> None:
    assert await pm.start_agent("once", "process_wrapper", SLEEP)
    await killed(pm, "once")
    await pm.wait_for("once", "crashed", timeout=10)
    asked = {**SLEEP, "auto_restart": True, "max_restarts": 1}
    for agent_id, healthy_after in (("limited", 60.0), ("forgets", 0.1)):
        assert await pm.start_agent(agent_id, "process_wrapper", asked, healthy_after=healthy_after)
        for restarts in (1, 2):
            if healthy_after < 1:
                await poll_until_async(lambda agent_id=agent_id: pm.processes[agent_id].uptime > 1.5)  # type: ignore[misc]
            await killed(pm, agent_id)
            if restarts == 1 or healthy_after < 1:
                await poll_until_async(
                    lambda agent_id=agent_id, restarts=restarts: (
                        ("running", restarts + 1)  # type: ignore[misc]
                        == (pm.processes[agent_id].status, pm.processes[agent_id].incarnation)
                    )
                )
    await pm.wait_for("limited", "crashed", timeout=10)
    assert (2, 3) == (pm.processes["limited"].incarnation, pm.processes["forgets"].incarnation)


@line('stop_agent("a", graceful=True)')
async def a_stop_returns_when_nothing_is_left(pm: ProcessManager, state: Path) -> None:
    assert await pm.start_agent("family", "process_wrapper", {"command": "sh", "args": ["-c", "sleep 1000001 & sleep 1000002"]})
    program = psutil.Process(pm.processes["family"].pid)
    await poll_until_async(lambda: len(program.children()) == 2)
    family = [program, *program.children()]
    assert await pm.stop_agent("family", graceful=True) is True
    assert [False] * 3 == [process.is_running() for process in family]
    assert await pm.stop_agent("family") is False


@line('restart_agent("a")')
async def a_restart_by_hand_keeps_the_count(pm: ProcessManager, state: Path) -> None:
    assert await pm.start_agent("counted", "process_wrapper", SLEEP, auto_restart=True)
    await killed(pm, "counted")
    await poll_until_async(lambda: ("running", 1) == (pm.processes["counted"].status, pm.processes["counted"].restart_count))
    assert await pm.restart_agent("counted") is True
    assert ("running", 1, 3) == (pm.processes["counted"].status, pm.processes["counted"].restart_count, pm.processes["counted"].incarnation)


@line('get_agent_status("a"), get_all_agents(), get_running_agents(), get_summary()')
async def what_is_known_is_answered_without_waiting_and_does_not_change(pm: ProcessManager, state: Path) -> None:
    assert await pm.start_agent("known", "process_wrapper", SLEEP)
    before, running, summary = pm.get_all_agents(), pm.get_running_agents(), pm.get_summary()
    assert (AgentStatus.RUNNING, AgentStatus.UNKNOWN) == (pm.get_agent_status("known"), pm.get_agent_status("nobody"))
    assert (len(running), running, len(before)) == (summary["running_agents"], summary["running_agent_ids"], summary["total_agents"])
    assert await pm.stop_agent("known")
    assert (AgentStatus.RUNNING, True, True) == (before["known"].status, "known" in running, "known" in summary["running_agent_ids"])
    assert (AgentStatus.STOPPED, False) == (pm.get_agent_status("known"), "known" in pm.get_running_agents())


@line('pm.processes["a"]')
async def the_processes_are_a_read_only_copy(pm: ProcessManager, state: Path) -> None:
    processes = pm.processes
    assert "running" == processes["p"].status
    with pytest.raises(TypeError):
        del processes["p"]  # type: ignore[attr-defined]


@line("monitor_agent_health()")
async def healthy_is_an_agent_that_runs_and_whose_pings_come(pm: ProcessManager, state: Path) -> None:
    assert await pm.start_agent("silent", "native_llm", {**STEADY, "heartbeat": {"interval": 0.1, "suspect_after": 0.5}})
    pid = pm.processes["silent"].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        async for entry in pm.events("silent"):
            if entry.event.name == "suspect":
                break
        health = await pm.monitor_agent_health()
        assert (True, False) == (health["p"], health["silent"])
    finally:
        os.kill(pid, signal.SIGCONT)


@line("start_monitor(interval), stop_monitor()")
async def the_monitor_only_logs(pm: ProcessManager, state: Path) -> None:
    logged: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("suptree.control")
    level = log.level
    log.addHandler(handler)
    log.setLevel("INFO")
    try:
        await pm.start_monitor(0.05)
        await poll_until_async(lambda: 2 <= sum("agents that are not healthy" in text for text in logged))
        await pm.stop_monitor()
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    assert pm.get_summary()["monitor_running"] is False


@line("shutdown_all()")
async def everything_stops_in_reverse_order(pm: ProcessManager, state: Path) -> None:
    others = psutil.Process().children()
    own = ProcessManager()
    exited: list[str] = []
    own.on("exited", lambda entry: exited.append(entry.event.id))  # type: ignore[union-attr]
    for agent_id in ("first", "second", "third"):
        assert await own.start_agent(agent_id, "process_wrapper", SLEEP)
    (launcher,) = (child for child in psutil.Process().children() if child not in others)
    family = [launcher, *launcher.children(recursive=True)]
    await own.shutdown_all()
    assert [] == [process for process in family if process.is_running()]
    await poll_until_async(lambda: 3 <= len(exited))
    assert ["third", "second", "first"] == exited


@line("get_agent_registry()")
async def the_registry_finds_and_reports_changes(pm: ProcessManager, state: Path) -> None:
    assert get_agent_registry() is get_process_manager().registry
    changes: list[tuple[str, str]] = []
    end = pm.registry.subscribe(lambda agent: changes.append((agent.agent_id, agent.status.value)))
    assert await pm.start_agent("found", "process_wrapper", SLEEP, role="finder", labels={"team": "red"})
    conditions = {"agent_id": "found", "role": "finder", "agent_type": "process_wrapper", "labels": {"team": "red"}, "status": "running"}
    assert ["found"] == [agent.agent_id for agent in pm.registry.find(**conditions)]  # type: ignore[arg-type]
    await poll_until_async(lambda: ("found", "running") in changes)
    end()


@line("get_heartbeat_service()")
async def the_heartbeat_service_has_last_ping_age_and_text(pm: ProcessManager, state: Path) -> None:
    assert get_heartbeat_service() is get_process_manager().heartbeat_service
    service = pm.heartbeat_service
    service.update("b", "in this process")
    own, native = await service.get("b"), await service.get("n")
    assert own is not None
    assert native is not None
    assert ("in this process", False) == (own.status, None in (own.age, own.last_ping, native.age, native.last_ping))
    assert "b" not in pm.processes


@line("NativeLLMAgentFactory.create(agent_id, name, role, model, config)")
async def the_default_factory_makes_the_shipped_agent(pm: ProcessManager, state: Path) -> None:
    names = list(inspect.signature(NativeLLMAgentFactory.create).parameters)
    assert ["agent_id", "name", "role", "model", "config"] == names
    with pytest.raises(CannotRun):
        await NativeLLMAgentFactory.create("a", "Ada", "answers", "no-such-provider:x", {})
    assert await pm.start_agent("made", "native_llm", {"factory": "pm_agents:Steady.create"}) is True


@line("NativeLLMAgent, health_check, update_heartbeat, shutdown")
async def the_contract_is_a_protocol(pm: ProcessManager, state: Path) -> None:
    class Least:
        def health_check(self) -> bool:
            return True

        def update_heartbeat(self, status: str) -> None:
            pass

        def shutdown(self) -> None:
            pass

    assert isinstance(Least(), NativeLLMAgent)
    assert not isinstance(object(), NativeLLMAgent)
    assert await pm.start_agent("handles", "native_llm", {"factory": "pm_agents:Listener"}) is True
    assert await pm.tell("handles", "hello") is True
    assert await pm.start_agent("answers", "native_llm", {"factory": "asked_agents:bare"}) is True
    assert "hello" in str(await pm.ask("answers", "hello"))


@line('async with pm.stdio("a") as (reader, writer), examples/mcp_client.py')
async def it_talks_over_stdio(pm: ProcessManager, state: Path) -> None:
    assert (Path(__file__).parents[2] / "examples" / "mcp_client.py").exists()
    assert await pm.start_agent("talks", "process_wrapper", {"command": "cat", "stdin": "pipe"})
    async with pm.stdio("talks") as (reader, writer):
        writer.write(b"hello\n")
        assert b"hello\n" == await reader.readline()


@line('async for line in pm.output("a"), await pm.logs("a")')
async def its_output_is_read_line_by_line(pm: ProcessManager, state: Path) -> None:
    assert await pm.start_agent("says", "process_wrapper", {"command": "sh", "args": ["-c", "echo hello; exec sleep 1000000"]})
    async for printed in pm.output("says", lines=1):
        assert ("hello", "out", 1) == (printed.text, printed.stream, printed.incarnation)
        break
    assert ["hello"] == [printed.text for printed in await pm.logs("says")]


@line('async for entry in pm.events("a"), pm.on("exited", callback)')
async def what_happens_is_heard(pm: ProcessManager, state: Path) -> None:
    assert await pm.start_agent("dies", "process_wrapper", SLEEP)
    heard: list[Entry] = []
    end = pm.on("exited", heard.append)
    await killed(pm, "dies")
    async for entry in pm.events("dies", after=0):
        if entry.event.name == "exited":
            break
    await poll_until_async(lambda: [entry] == heard)
    end()


@line('await pm.explain("a"), str(), await pm.forecast("a")')
async def a_death_is_explained_and_forecast(pm: ProcessManager, state: Path) -> None:
    assert await pm.start_agent("fails", "process_wrapper", {"command": "sh", "args": ["-c", "echo no such table >&2; exit 3"]})
    await pm.wait_for("fails", "crashed", timeout=10)
    explained = await pm.explain("fails")
    assert ("fails", 1, True) == (explained["id"], len(explained["deaths"]), "no such table" in str(explained))
    assert ["root"] == [step["supervisor"] for step in await pm.forecast("p")][:1]


@line('await pm.wait_for("a", "running", timeout=10)')
async def a_status_is_waited_for(pm: ProcessManager, state: Path) -> None:
    assert AgentStatus.RUNNING is (await pm.wait_for("p", "running", timeout=10)).status
    with pytest.raises(RequestTimeout):
        await pm.wait_for("nobody", "running", timeout=0.1)


@line('await pm.start_supervisor("writers", strategy="rest_for_one"), start_agent(…, supervisor="writers")')
async def a_supervisor_is_given_agents(pm: ProcessManager, state: Path) -> None:
    assert await pm.start_supervisor("writers", strategy="rest_for_one") is True
    assert await pm.start_agent("writer", "process_wrapper", SLEEP, supervisor="writers") is True
    assert "writers" == (await pm.forecast("writer"))[0]["supervisor"]


@line('await pm.apply("shop.toml")')
async def a_whole_tree_is_applied(pm: ProcessManager, state: Path) -> None:
    (state / "shop.toml").write_text('[agents.cashier]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000000"]\n')
    assert ["cashier"] == await pm.apply(state / "shop.toml")
    assert ["baker"] == await pm.apply({"agents": {"baker": {"type": "process_wrapper", **SLEEP}}})


@line("BlockingProcessManager, await")
async def the_same_without_asyncio(pm: ProcessManager, state: Path) -> None:
    def program() -> AgentStatus:
        with BlockingProcessManager() as blocking:
            assert blocking.start_agent("b", "process_wrapper", SLEEP) is True
            return blocking.get_agent_status("b")

    assert AgentStatus.RUNNING is await asyncio.to_thread(program)
