"""Hearing of deaths, and asking why, from inside a program."""

import asyncio
import os
import signal
import time

import pytest

from suptree.actors.errors import NoSuchAgent, NotRunning, RequestTimeout
from suptree.actors.events.entry import Entry
from suptree.actors.events.event_types import ChildEvent, Exited
from suptree.actors.exits import ExitClass
from suptree.control import ProcessManager
from tests.polling import poll_until_async

from .managed import SLEEP, manager, run

ONCE = {**SLEEP, "auto_restart": True, "max_restarts": 1}


def killed(pm: ProcessManager, agent_id: str) -> None:
    pid = pm.get_all_agents()[agent_id].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_every_event_of_an_agent_comes_in_order_and_those_after_one_can_be_asked_for_again() -> None:
    async def program() -> None:
        async with manager() as pm:
            seen: list[Entry] = []

            async def watch() -> None:
                async for entry in pm.events("a"):
                    seen.append(entry)  # noqa: PERF401  (the others look while it goes on)

            watching = asyncio.create_task(watch())
            await asyncio.sleep(0)
            assert await pm.start_agent("a", "process_wrapper", SLEEP)
            assert await pm.start_agent("b", "process_wrapper", SLEEP)
            killed(pm, "a")
            await poll_until_async(lambda: any(isinstance(entry.event, Exited) for entry in seen))
            assert {"a"} == {entry.event.id for entry in seen if isinstance(entry.event, ChildEvent)}
            assert ["starting", "started", "exited"] == [entry.event.name for entry in seen][:3]
            assert isinstance(seen[2].event, Exited)
            assert (ExitClass.CRASH, signal.SIGKILL) == (seen[2].event.exit.exit_class, seen[2].event.exit.signal)
            again = pm.events("a", after=seen[1].seq)
            assert seen[2] == await anext(again)
            await again.aclose()
            await pm.shutdown_all()
            await watching

    run(program)


def test_callbacks_of_each_name_receive_what_happens_to_an_agent() -> None:
    async def program() -> None:
        async with manager() as pm:
            heard: list[tuple[str, int]] = []
            names = ("started", "exited", "restarted", "quarantined", "gave_up", "held", "parked")
            for name in names:
                pm.on(name, lambda entry, name=name: heard.append((name, entry.event.incarnation)))  # type: ignore[misc]
            assert await pm.start_agent("a", "process_wrapper", ONCE)
            killed(pm, "a")
            await poll_until_async(lambda: ("restarted", 2) in heard)
            killed(pm, "a")
            await poll_until_async(lambda: ("quarantined", 2) in heard)
            wanted = [("started", 1), ("exited", 1), ("started", 2), ("restarted", 2), ("exited", 2), ("quarantined", 2)]
            assert wanted == heard

    run(program)


def test_a_callback_that_raises_blocks_or_calls_the_manager_harms_nobody() -> None:
    async def program() -> None:
        async with manager() as pm:
            heard: dict[str, list[str]] = {"slow": [], "calls": [], "plain": []}

            def raises(_entry: Entry) -> None:
                raise ValueError("on purpose")

            def blocks(entry: Entry) -> None:
                time.sleep(1)
                heard["slow"].append(entry.event.name)

            async def calls(entry: Entry) -> None:
                assert isinstance(entry.event, ChildEvent)
                heard["calls"].append(f"{entry.event.id} {await pm.stop_agent('b')} {pm.get_agent_status('b').value}")

            pm.on("started", raises)
            pm.on("started", blocks)
            pm.on("exited", calls)
            pm.on("every", lambda entry: heard["plain"].append(entry.event.name))
            for agent_id in ("a", "b"):
                assert await pm.start_agent(agent_id, "process_wrapper", SLEEP)
            killed(pm, "a")
            await poll_until_async(lambda: len(heard["calls"]) == 2, within=30)
            assert ["a True stopped", "b False stopped"] == heard["calls"]
            assert ["started", "started"] == heard["slow"]
            assert 2 == heard["plain"].count("exited")

    run(program)


def test_no_callback_is_called_after_it_was_taken_away_and_an_unknown_name_is_refused() -> None:
    async def program() -> None:
        async with manager() as pm:
            heard: list[Entry] = []
            pm.on("started", heard.append)()
            assert await pm.start_agent("a", "process_wrapper", SLEEP)
            assert [] == heard
            with pytest.raises(ValueError, match="there are started"):
                pm.on("died", heard.append)

    run(program)


def test_a_program_waits_for_a_status_and_hears_when_it_does_not_come() -> None:
    async def program() -> None:
        async with manager() as pm:
            with pytest.raises(NotRunning):
                await pm.wait_for("a", "running", timeout=1)
            assert await pm.start_agent("b", "process_wrapper", SLEEP)
            waiting = asyncio.create_task(pm.wait_for("a", "running", timeout=60))
            assert await pm.start_agent("a", "process_wrapper", SLEEP)
            assert ("a", "running") == ((agent := await waiting).agent_id, agent.status.value)
            for limit in (0, 0.1):
                assert ("a", "running") == ((agent := await pm.wait_for("a", "running", timeout=limit)).agent_id, agent.status.value)
                with pytest.raises(RequestTimeout, match=f"'a' is running, and not crashed, after {limit:g} s"):
                    await pm.wait_for("a", "crashed", timeout=limit)
            with pytest.raises(ValueError, match="dead"):
                await pm.wait_for("a", "dead")
            waiting = asyncio.create_task(pm.wait_for("a", "crashed"))
            await asyncio.sleep(0)
            await pm.shutdown_all()
            with pytest.raises(NotRunning):
                await waiting

    run(program)


def test_a_death_is_explained_as_an_object_and_as_text_and_one_can_be_forecast() -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_agent("a", "process_wrapper", {"command": "sh", "args": ["-c", "echo no such table >&2; exit 3"]})
            await pm.wait_for("a", "crashed", timeout=10)
            explained = await pm.explain("a")
            assert ("a", "crashed", 1) == (explained["id"], explained["now"]["status"], len(explained["deaths"]))
            assert "no such table" in str(explained)
            assert await pm.start_agent("b", "process_wrapper", {**SLEEP, "restart": "permanent"})
            (step,) = await pm.forecast("b")
            assert ("root", "restart") == (step["supervisor"], step["decision"])
            with pytest.raises(NoSuchAgent):
                await pm.explain("nobody")

    run(program)
