"""Limits count the time in which the process could run: in a process that is stopped for longer than its limit and goes on."""

import asyncio
import signal
import subprocess
import sys
import time

import pytest

from suptree.actors.agent.awake_time import within

# Says when it waits; what it waits for takes half of its limit.
SLEEPER = """
import asyncio, sys, time
from suptree.actors.agent.awake_time import within

async def main():
    print("waits", flush=True)
    try:
        # It counts its own steps: a sleep would end by the clock, as what is stopped does not.
        print(await within(1.6, steps()), flush=True)
    except TimeoutError:
        print("timed out", flush=True)

async def steps():
    for _ in range(8):
        await asyncio.sleep(0.1)
    return "done"

asyncio.run(main())
"""


def test_a_process_that_was_stopped_still_has_its_limit() -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True) as sleeper:
        assert sleeper.stdout is not None
        assert "waits\n" == sleeper.stdout.readline()
        sleeper.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        sleeper.send_signal(signal.SIGCONT)
        assert "done\n" == sleeper.stdout.readline()


def test_a_limit_holds_and_what_took_longer_is_cancelled() -> None:
    ends: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("ended")

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await within(0.3, forever())

    began = time.monotonic()
    asyncio.run(run())
    assert ["ended"] == ends
    assert 0.3 <= time.monotonic() - began < 10


def test_a_result_and_an_error_come_through() -> None:
    async def value() -> int:
        return 5

    async def error() -> int:
        raise ConnectionError("ours")

    async def run() -> int:
        with pytest.raises(ConnectionError):
            await within(5, error())
        return await within(5, value())

    assert 5 == asyncio.run(run())
