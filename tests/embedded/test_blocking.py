"""The same manager for programs without asyncio."""

import asyncio
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import psutil
import pytest

from suptree.actors import AgentStatus
from suptree.actors.errors import NotRunning
from suptree.actors.events.entry import Entry
from suptree.control import BlockingProcessManager, HeartbeatService, ProcessManager
from suptree.control.embedded.blocking_heartbeats import BlockingHeartbeatService
from tests.polling import poll_until

from .managed import AGENTS, SLEEP


@pytest.fixture(autouse=True)
def agents_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(AGENTS)


def test_it_has_the_methods_of_the_other_one() -> None:
    ours = {name for name in vars(BlockingProcessManager) if not name.startswith("_")}
    theirs = {name for name in vars(ProcessManager) if not name.startswith("_")}
    assert theirs - {"abandon"} | {"close", "heartbeats"} == ours
    services = [{name for name in vars(kind) if not name.startswith("_")} for kind in (HeartbeatService, BlockingHeartbeatService)]
    assert services[0] == services[1]


def test_a_program_without_asyncio_starts_asks_waits_and_hears() -> None:
    with BlockingProcessManager() as pm:
        heard: list[Entry] = []
        pm.on("started", heard.append)
        assert pm.start_agent("a", "process_wrapper", SLEEP)
        assert pm.start_agent(
            "says", "process_wrapper", {"command": "sh", "args": ["-c", "read x; echo $x; exec sleep 1000000"], "stdin": "pipe"}
        )
        output = pm.output("says", "out", lines=1)
        assert pm.tell("says", "hello")
        assert "hello" == next(output).text
        assert AgentStatus.RUNNING is pm.wait_for("a", "running", timeout=10).status
        assert ["a"] == [agent.agent_id for agent in pm.registry.find(agent_id="a", status="running")]
        assert {"a", "says"} == set(pm.heartbeats())
        pm.heartbeat_service.update("main", "working")
        assert {"a", "says", "main"} == set(pm.heartbeat_service.get_all())
        mine = pm.heartbeat_service.get("main")
        assert mine is not None
        assert ("working", None) == (mine.status, pm.heartbeat_service.get("nobody"))
        assert ["starting", "started"] == [entry.event.name for entry in islice(pm.events("a", after=0), 2)]
        assert 2 <= len(heard)
    assert [] == psutil.Process().children(recursive=True)
    with pytest.raises(NotRunning):
        pm.explain("a")
    pm.close()
    assert "suptree" not in [thread.name for thread in threading.enumerate() if not thread.daemon]


def test_a_callback_that_calls_it_from_its_own_thread_is_refused_and_does_not_hang() -> None:
    with BlockingProcessManager() as pm:
        errors: list[str] = []
        done = threading.Event()

        def calls(_entry: Entry) -> None:
            try:
                pm.stop_agent("a")
            except RuntimeError as error:
                errors.append(str(error))
            done.set()

        pm.on("started", calls)
        assert pm.start_agent("a", "process_wrapper", SLEEP)
        assert done.wait(10)
        assert ["called from a callback: that would wait for itself; let another thread call, or use ProcessManager"] == errors


def raises(_entry: object) -> None:
    raise ValueError("on purpose")


def mixed_calls(pm: BlockingProcessManager, number: int) -> Counter[str]:
    """A hundred calls of one thread, of every kind, about an agent and a supervisor of its own and one that all share."""
    chance = random.Random(number)
    own, above = f"own{number}", f"above{number}"
    calls: dict[str, Callable[[], object]] = {
        "summary": pm.get_summary,
        "status": lambda: pm.get_agent_status("steady"),
        "all": pm.get_all_agents,
        "processes": lambda: pm.processes["steady"],
        "running": pm.get_running_agents,
        "health": pm.monitor_agent_health,
        "heartbeats": pm.heartbeats,
        "update": lambda: pm.heartbeat_service.update(own, "says so"),
        "heartbeat": lambda: pm.heartbeat_service.get("steady"),
        "find": lambda: pm.registry.find(agent_id="steady"),
        "tell": lambda: pm.tell("nobody", "hello"),
        "start": lambda: pm.start_agent(own, "process_wrapper", SLEEP, auto_restart=True),
        "stop": lambda: pm.stop_agent(own, graceful=False),
        "restart": lambda: pm.restart_agent(own),
        "delete": lambda: pm.delete_agent(own),
        "supervisor": lambda: pm.start_supervisor(above) and pm.stop_supervisor(above) and pm.delete_supervisor(above),
        "forecast": lambda: pm.forecast("steady"),
        "explain": lambda: pm.explain("steady"),
        "logs": lambda: pm.logs("steady"),
        "wait": lambda: pm.wait_for("steady", "running", timeout=60),
        "events": lambda: list(islice(pm.events("steady", after=0), 2)),
        "output": lambda: next(pm.output("steady", lines=1)),
        "on": lambda: pm.on("every", raises)(),  # noqa: PLW0108  (what it returns is called too)
        "subscribe": lambda: pm.registry.subscribe(raises)(),  # noqa: PLW0108  (what it returns is called too)
        "monitor": lambda: pm.start_monitor(interval=60),
    }
    done: Counter[str] = Counter()
    for what in chance.choices(list(calls), k=100):
        calls[what]()
        done[what] += 1
    return done


def test_a_thousand_calls_from_ten_threads_end_and_leave_nothing() -> None:
    with BlockingProcessManager() as pm:
        heard: list[int] = []
        pm.on("every", lambda entry: heard.append(entry.seq))
        pm.on("started", raises)
        assert pm.start_agent("steady", "native_llm", {"factory": "pm_agents:Says"})
        with ThreadPoolExecutor(10) as threads:
            counts = sum(threads.map(lambda number: mixed_calls(pm, number), range(10)), Counter())
        assert (1000, 25) == (counts.total(), len(counts))
        assert AgentStatus.RUNNING is pm.get_agent_status("steady")
    assert [*range(1, len(heard) + 1)] == heard
    assert [] == psutil.Process().children(recursive=True)
    assert [] == [thread.name for thread in threading.enumerate() if thread.name == "suptree"]


def test_calls_that_wait_end_when_another_thread_closes_the_manager() -> None:
    pm = BlockingProcessManager()
    heard: list[Entry] = []

    async def stuck(_entry: Entry) -> None:
        await asyncio.Event().wait()

    def waits(what: Callable[[], object]) -> str:
        try:
            what()
        except NotRunning:
            return "not running"
        return "ended"

    pm.on("started", heard.append)
    pm.on("started", stuck)
    assert pm.start_agent("a", "process_wrapper", SLEEP)
    calls: list[Callable[[], object]] = [
        lambda: pm.wait_for("a", "crashed"),
        lambda: list(pm.events()),
        lambda: list(pm.output("a")),
        lambda: [pm.start_agent(f"b{number}", "process_wrapper", SLEEP) for number in range(30)],
    ]
    with ThreadPoolExecutor(len(calls)) as threads:
        waiting = [threads.submit(waits, call) for call in calls[:3]]
        starting = threads.submit(waits, calls[3])
        poll_until(lambda: 5 < len(heard))
        pm.close()
        assert ["not running", "ended", "ended"] == [call.result(30) for call in waiting]
        # The thread that starts agents began a new tree: the manager can be used again.
        assert "ended" == starting.result(90)
    pm.close()
    assert [] == psutil.Process().children(recursive=True)


def test_a_signal_handler_may_close_the_manager_while_a_call_waits() -> None:
    program = """
import os, signal, threading
from suptree.actors.errors import NotRunning
from suptree.control import BlockingProcessManager

pm = BlockingProcessManager()
signal.signal(signal.SIGTERM, lambda *_: pm.close())
pm.start_agent("a", "process_wrapper", {"command": "sleep", "args": ["1000000"]})
threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGTERM]).start()
try:
    pm.wait_for("a", "crashed")
except NotRunning:
    print("closed")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (0, "closed\n", "") == (done.returncode, done.stdout, done.stderr)
