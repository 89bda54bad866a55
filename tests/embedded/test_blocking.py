"""The same manager for programs without asyncio."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import psutil
import pytest

from suptree.actors import AgentStatus
from suptree.actors.errors import NotRunning
from suptree.actors.events.entry import Entry
from suptree.control import BlockingProcessManager, ProcessManager

from .managed import AGENTS, SLEEP


@pytest.fixture(autouse=True)
def agents_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(AGENTS)


def test_it_has_the_methods_of_the_other_one() -> None:
    ours = {name for name in vars(BlockingProcessManager) if not name.startswith("_")}
    theirs = {name for name in vars(ProcessManager) if not name.startswith("_")}
    assert theirs - {"abandon", "heartbeat_service", "stdio"} | {"close", "heartbeats"} == ours


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


def test_a_thousand_calls_from_ten_threads_end_and_leave_nothing() -> None:
    with BlockingProcessManager() as pm:
        assert pm.start_agent("steady", "native_llm", {"factory": "pm_agents:Steady"})

        def calls(number: int) -> Counter[str]:
            chance = random.Random(number)
            done: Counter[str] = Counter()
            own = f"own{number}"
            for _ in range(100):
                what = chance.choice(["summary", "status", "all", "health", "find", "tell", "start", "stop", "forecast"])
                done[what] += 1
                match what:
                    case "summary":
                        assert pm.get_summary()["total_agents"] >= 1
                    case "status":
                        assert AgentStatus.RUNNING is pm.get_agent_status("steady")
                    case "all":
                        assert "steady" in pm.get_all_agents()
                    case "health":
                        assert pm.monitor_agent_health()["steady"]
                    case "find":
                        assert 1 == len(pm.registry.find(agent_id="steady"))
                    case "tell":
                        assert pm.tell("nobody", "hello") is False
                    case "start":
                        pm.start_agent(own, "process_wrapper", SLEEP)
                    case "stop":
                        pm.stop_agent(own, graceful=False)
                    case _:
                        assert pm.forecast("steady")
            return done

        with ThreadPoolExecutor(10) as threads:
            counts = sum(threads.map(calls, range(10)), Counter())
        assert 1000 == counts.total()
    assert [] == psutil.Process().children(recursive=True)
