"""A conversation with a program that prints too much, that the client forks beside, or whose output somebody else holds open."""

import asyncio
import contextlib
import os
import time
import tty
from pathlib import Path

import psutil
import pytest

from suptree.actors.errors import AgentEnded
from suptree.actors.kernel.terminal_writer import TerminalWriter
from suptree.actors.program.program_input import ProgramInput
from tests.embedded.managed import run
from tests.embedded.test_stdio import kill, talker


def inheritable() -> set[int]:
    """Our descriptors that a program has too which is started without closing any."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        descriptor = int(entry.name)
        with contextlib.suppress(OSError):  # the one of the list itself
            if os.get_inheritable(descriptor):
                found.add(descriptor)
    return found


def test_output_that_its_actor_logs_more_slowly_than_the_client_reads_waits_in_the_program() -> None:
    # Each newline is a line of the log, with its time.
    program = "import os\nwhile True: os.write(1, b'\\n' * 65536)"

    async def talk() -> None:
        async with talker(program) as pm, pm.stdio("a", limit=65536) as (reader, _writer):

            async def read_for(seconds: float) -> int:
                """Read what is there, and let more come in between: so it polls."""
                until, count = time.monotonic() + seconds, 0
                while time.monotonic() < until:
                    count += len(await reader.read(100_000))
                    await asyncio.sleep(0.001)
                return count

            await read_for(1)
            before = psutil.Process().memory_info().rss
            assert await read_for(4) > 1_000_000
            assert psutil.Process().memory_info().rss - before < 20_000_000

    run(talk)


def test_no_program_that_the_client_starts_inherits_the_ends_of_a_conversation() -> None:
    async def talk() -> None:
        async with talker() as pm:
            before = inheritable()
            async with pm.stdio("a") as (reader, writer):
                writer.write(b"hello\n")
                assert b"hello\n" == await reader.readline()
                assert before == inheritable()

    run(talk)


def test_a_conversation_ends_with_its_program_although_another_process_holds_the_output_open() -> None:
    async def talk() -> None:
        async with talker() as pm, pm.stdio("a") as (reader, _writer):
            holds = f"exec > /proc/{pm.processes['a'].pid}/fd/1; echo held; while true; do echo forged; sleep 0.1; done"
            holder = await asyncio.create_subprocess_exec("sh", "-c", holds)
            try:
                assert b"held\n" == await reader.readline()
                kill(pm)
                with pytest.raises(AgentEnded):
                    while True:
                        await reader.readline()
            finally:
                holder.kill()
                await holder.wait()

    run(talk)


def test_a_conversation_ends_also_when_its_actor_dies_with_more_to_log_than_it_has_logged() -> None:
    program = "import os\nwhile True: os.write(1, b'\\n' * 65536)"

    async def talk() -> None:
        async with talker(program) as pm, pm.stdio("a", limit=65536) as (reader, _writer):

            async def read_until_held() -> None:
                output = reader._actor.output
                assert output is not None
                while not output._is_held:
                    await reader.read(100_000)

            async def read_on() -> None:
                while True:
                    await reader.read(100_000)

            await asyncio.wait_for(read_until_held(), 30)
            other = os.open(f"/proc/{pm.processes['a'].pid}/fd/1", os.O_WRONLY)
            try:
                reading = asyncio.create_task(read_on())
                assert await pm.stop_agent("a", graceful=False)
                with pytest.raises(AgentEnded):
                    await asyncio.wait_for(reading, 30)
            finally:
                os.close(other)

    run(talk)


def test_what_waits_to_be_written_ends_with_its_program_although_another_process_could_read_it() -> None:
    async def talk() -> None:
        async with talker("import time; time.sleep(1000)") as pm, pm.stdio("a") as (_reader, writer):
            other = os.open(f"/proc/{pm.processes['a'].pid}/fd/0", os.O_RDONLY)
            try:
                writer.write(bytes(1_000_000))
                waiting = asyncio.create_task(writer.drain())
                kill(pm)
                with pytest.raises(AgentEnded):
                    await asyncio.wait_for(waiting, 20)
            finally:
                os.close(other)

    run(talk)


def test_what_waits_for_a_terminal_that_nobody_has_open_costs_nothing_and_is_read_when_somebody_has() -> None:
    async def write() -> tuple[int, int, bool]:
        """Polls, for what is read makes no event here."""
        ours, its = os.openpty()
        tty.setraw(its)
        name = os.ttyname(its)
        protocol = ProgramInput(is_terminal=True)
        os.set_blocking(ours, False)
        writer = TerminalWriter(asyncio.get_running_loop(), ours, protocol)
        writer.write(b"x" * 100_000)
        os.close(its)
        before = writer.get_write_buffer_size()
        began = os.times().user + os.times().system
        await asyncio.sleep(1)  # nothing happens meanwhile: this is what it is about
        used = round((os.times().user + os.times().system - began) * 100)
        reader = os.open(name, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        async with asyncio.timeout(20):
            while writer.get_write_buffer_size():
                with contextlib.suppress(BlockingIOError):
                    os.read(reader, 65536)
                await asyncio.sleep(0.001)
        os.close(reader)
        os.close(ours)
        return before, used, writer.is_closing()

    waited, hundredths, is_closing = asyncio.run(write())
    assert waited > 50_000
    assert hundredths < 30
    assert not is_closing
