"""Callbacks that raise, that block the event loop, that never end, and that call the manager: nothing hangs, and nothing is lost."""

import asyncio
import os
import signal
import time

import pytest

from suptree.actors.events.entry import Entry
from suptree.actors.events.event_types import ChildEvent
from suptree.control import ProcessManager
from tests.polling import poll_until_async

from .managed import SLEEP, manager, run


def child(entry: Entry) -> ChildEvent:
    assert isinstance(entry.event, ChildEvent)
    return entry.event


def test_every_callback_gets_every_event_in_order_whatever_the_others_do(caplog: pytest.LogCaptureFixture) -> None:
    async def program() -> None:
        async with manager() as pm:
            heard: dict[str, list[int]] = {"raises": [], "fails": [], "blocks": [], "waits": [], "calls": [], "plain": []}

            def raises(entry: Entry) -> None:
                heard["raises"].append(entry.seq)
                raise ValueError("on purpose")

            async def fails(entry: Entry) -> None:
                heard["fails"].append(entry.seq)
                raise asyncio.CancelledError

            def blocks(entry: Entry) -> None:
                heard["blocks"].append(entry.seq)
                if len(heard["blocks"]) in (1, 20, 40):
                    time.sleep(1)

            async def waits(entry: Entry) -> None:
                heard["waits"].append(entry.seq)
                await asyncio.sleep(0.01)

            async def calls(entry: Entry) -> None:
                heard["calls"].append(entry.seq)
                await pm.monitor_agent_health()
                assert pm.get_summary()["total_agents"] >= 0

            for callback in (raises, fails, blocks, waits, calls):
                pm.on("every", callback)
            pm.on("every", lambda entry: heard["plain"].append(entry.seq))
            ids = [f"a{number}" for number in range(10)]
            for agent_id in ids:
                assert await pm.start_agent(agent_id, "process_wrapper", SLEEP, auto_restart=True)
            for agent_id in ids:
                pid = pm.processes[agent_id].pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
            await poll_until_async(lambda: [2] * 10 == [agent.incarnation for agent in pm.processes.values() if agent.status == "running"])
            await pm.shutdown_all()
            assert 80 < len(heard["plain"])
            numbers = [*range(1, len(heard["plain"]) + 1)]
            assert {"raises", "fails", "blocks", "waits", "calls", "plain"} == {name for name in heard if numbers == heard[name]}

    run(program)
    assert "on purpose" in caplog.text


def test_what_happens_at_the_end_is_heard_before_the_end() -> None:
    async def program() -> list[str]:
        heard: list[str] = []

        async def slow(entry: Entry) -> None:
            await asyncio.sleep(0.5)
            heard.append(child(entry).id)

        async with ProcessManager() as pm:
            pm.on("exited", slow)
            for agent_id in ("a", "b", "c"):
                assert await pm.start_agent(agent_id, "process_wrapper", SLEEP)
        return heard

    assert ["c", "b", "a"] == asyncio.run(program())


def test_a_callback_that_never_ends_holds_up_the_end_for_some_seconds_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def program() -> None:
        async def stuck(_entry: Entry) -> None:
            await asyncio.Event().wait()

        async with manager() as pm:
            pm.on("exited", stuck)
            assert await pm.start_agent("a", "process_wrapper", SLEEP)

    run(program)
    assert "stuck" in caplog.text


def test_callbacks_may_do_with_the_manager_what_any_code_may() -> None:
    async def program() -> None:
        async with manager() as pm:
            done: list[str] = []

            async def replaces(entry: Entry) -> None:
                if child(entry).id == "a":
                    assert await pm.start_agent("b", "process_wrapper", SLEEP)
                    assert await pm.restart_agent("b")
                    assert "running" == (await pm.wait_for("b", "running", timeout=20)).status
                    assert await pm.stop_agent("b")
                    done.append("replaced")

            def once(entry: Entry) -> None:
                end()
                done.append("once")
                pm.on("exited", lambda _entry: done.append("added"))

            pm.on("exited", replaces)
            end = pm.on("started", once)
            assert await pm.start_agent("a", "process_wrapper", SLEEP)
            pid = pm.processes["a"].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await poll_until_async(lambda: "replaced" in done)
            assert 1 == done.count("once")
            await poll_until_async(lambda: 3 == done.count("added"))

    run(program)


def test_a_callback_that_replaces_what_exits_does_not_begin_again_what_is_shut_down(caplog: pytest.LogCaptureFixture) -> None:
    async def program() -> None:
        async with manager() as pm:
            answers: list[bool] = []

            async def replace(entry: Entry) -> None:
                answers.append(await asyncio.create_task(pm.start_agent(f"after-{child(entry).id}", "process_wrapper", SLEEP)))

            pm.on("exited", replace)
            assert await pm.start_agent("a", "process_wrapper", SLEEP)
            assert await pm.start_agent("b", "process_wrapper", SLEEP)
            assert await pm.stop_agent("b")
            await poll_until_async(lambda: [True] == answers)
            await pm.shutdown_all()
            assert [True, False, False] == answers
            # Later a callback may, and so may the program.
            assert await pm.start_agent("a", "process_wrapper", SLEEP)
            assert await pm.stop_agent("a")
            await poll_until_async(lambda: [True, False, False, True] == answers)

    run(program)
    assert "everything is being shut down" in caplog.text


def test_callbacks_may_shut_everything_down_also_several_together(caplog: pytest.LogCaptureFixture) -> None:
    async def program() -> None:
        async with manager() as pm:
            done: list[str] = []

            async def ends(_entry: Entry) -> None:
                await pm.shutdown_all()
                done.append("ended")

            for _ in range(3):
                pm.on("started", ends)
            await pm.start_agent("a", "process_wrapper", SLEEP)
            await poll_until_async(lambda: 3 == len(done))
            assert [] == pm.get_running_agents()
            assert await pm.start_agent("a", "process_wrapper", SLEEP) in (True, False)

    run(program)
    assert "the end does not wait" not in caplog.text
