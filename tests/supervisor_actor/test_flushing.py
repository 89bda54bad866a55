"""What waits until the registry knows everything, on a real loop."""

import asyncio
from typing import Any

from suptree.actors.base.messages import Flush
from suptree.supervisors.actor import flushing
from suptree.supervisors.actor.flushing import Flushing


def test_what_waits_is_done_when_its_own_flush_is_answered_and_once() -> None:
    async def run() -> tuple[list[str], list[Any]]:
        done: list[str] = []
        sent: list[Any] = []

        def send(message: Any) -> bool:
            sent.append(message)
            return True

        waits = Flushing(asyncio.get_running_loop(), send)
        waits.then(lambda: done.append("first"))
        waits.then(lambda: done.append("second"))
        waits.flushed(2)
        waits.flushed(2)
        # A registry that is new is asked what the old one did not answer.
        waits.ask_again()
        waits.flushed(1)
        return done, sent

    assert (["second", "first"], [Flush(1), Flush(2), Flush(1)]) == asyncio.run(run())


def test_without_a_registry_or_with_one_that_hangs_nothing_waits_for_ever(monkeypatch: Any) -> None:
    monkeypatch.setattr(flushing, "_FLUSH_WAIT", 0.05)

    async def run() -> list[str]:
        done: list[str] = []
        over = asyncio.Event()
        Flushing(asyncio.get_running_loop(), lambda _message: False).then(lambda: done.append("without"))
        hangs = Flushing(asyncio.get_running_loop(), lambda _message: True)
        hangs.then(over.set)
        async with asyncio.timeout(10):
            await over.wait()
        return done

    assert ["without"] == asyncio.run(run())
