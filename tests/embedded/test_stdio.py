"""A conversation with a program over its stdin and stdout."""

import asyncio
import contextlib
import os
import random
import select
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from suptree.actors import AgentStatus
from suptree.actors.errors import AgentEnded, InputRefused, NotRunning, RequestTimeout
from suptree.control import BlockingProcessManager, ProcessManager

from .managed import STEADY, manager, run

LIMIT = 30.0
ECHO = "import sys\nfor line in sys.stdin.buffer: sys.stdout.buffer.write(line); sys.stdout.buffer.flush()"


def python(program: str, **more: object) -> dict[str, object]:
    return {"command": sys.executable, "args": ["-c", program], "stdin": "pipe", "auto_restart": True, **more}


@contextlib.asynccontextmanager
async def talker(program: str = ECHO, **more: object) -> AsyncIterator[ProcessManager]:
    async with asyncio.timeout(LIMIT), manager() as pm:
        assert await pm.start_agent("a", "process_wrapper", python(program, **more))
        yield pm


def kill(pm: ProcessManager, number: int = signal.SIGKILL) -> None:
    pid = pm.processes["a"].pid
    assert pid is not None
    os.kill(pid, number)


async def logged(pm: ProcessManager, count: int) -> list[str]:
    found = []
    async with contextlib.aclosing(pm.output("a", "out", lines=1_000_000)) as output:
        async for line in output:
            found.append(line.text)
            if len(found) == count:
                break
    return found


def test_what_passes_is_the_same_byte_for_byte_and_is_logged_too() -> None:
    lines = [b"\xff\xfe\x00 no text\n", b"\r42%\r43%\n", "한\u202e\n".encode(), b"x" * 1_000_000 + b"\n", b"\n", b"end\n"]

    async def talk() -> None:
        async with talker() as pm:
            async with pm.stdio("a") as (reader, writer):
                for line in lines:
                    writer.write(line)
                await writer.drain()
                assert lines == [await reader.readline() for _ in lines]
            log = await logged(pm, len(lines))
            assert ("x" * 1_000_000, "end") == (log[3], log[-1])

    run(talk)


def test_a_secret_is_redacted_in_the_log_and_not_in_the_conversation() -> None:
    async def talk() -> None:
        async with talker(env={"API_KEY": "s3cret-s3cret"}) as pm:
            async with pm.stdio("a") as (reader, writer):
                writer.write(b"it is s3cret-s3cret\n")
                assert b"it is s3cret-s3cret\n" == await reader.readline()
            (line,) = await logged(pm, 1)
            assert "s3cret" not in line

    run(talk)


def test_the_first_conversation_begins_with_what_the_program_said_before() -> None:
    async def talk() -> None:
        async with talker("print('hello', flush=True)\nprint('half', end='', flush=True)\n" + ECHO) as pm:
            await logged(pm, 2)  # The second is shown before it ends.
            async with pm.stdio("a") as (reader, writer):
                writer.write(b"\n")
                assert [b"hello\n", b"half\n"] == [await reader.readline(), await reader.readline()]

    run(talk)


def test_a_conversation_that_cannot_begin_at_the_beginning_begins_with_a_line() -> None:
    program = "print(('x' * 99 + '\\n') * 1000 + 'half', end='', flush=True)\n" + ECHO

    async def talk() -> None:
        async with talker(program) as pm:
            await logged(pm, 1001)
            for line in (b"first\n", b"second\n"):
                async with pm.stdio("a") as (reader, writer):
                    writer.write(b"of a line\n" + line if line == b"first\n" else line)
                    assert line == await reader.readline()

    run(talk)


def test_every_conversation_has_whole_lines_in_order_and_the_log_has_all() -> None:
    program = """
import sys, time
for number in range(20000):
    sys.stdout.write(f"{number} {'x' * (number % 50)}\\n")
    if number % 7 == 0:
        sys.stdout.flush()
        time.sleep(0.0001)
sys.stdout.flush()
time.sleep(1000)
"""

    async def talk() -> None:
        chance, last = random.Random(20261127), -1
        async with talker(program) as pm:
            while last < 15000:
                async with pm.stdio("a") as (reader, _writer):
                    for _ in range(chance.randrange(1, 1500)):
                        number, filled = (await reader.readline()).split(b" ")
                        assert int(number) > last
                        last = int(number)
                        assert b"x" * (last % 50) + b"\n" == filled
                        if last == 19999:
                            break
            assert [str(number) for number in range(20000)] == [line.split()[0] for line in await logged(pm, 20000)]

    run(talk)


def test_ten_thousand_messages_arrive_once_and_in_order_when_nobody_waits_for_each() -> None:
    async def talk() -> None:
        messages = [f'{{"jsonrpc": "2.0", "id": {number}, "params": "{"x" * (number % 300)}"}}\n'.encode() for number in range(10_000)]

        async with talker() as pm, pm.stdio("a") as (reader, writer):

            async def send() -> None:
                for message in messages:
                    writer.write(message)
                    await writer.drain()

            sending = asyncio.create_task(send())
            assert messages == [await reader.readline() for _ in messages]
            await sending

    run(talk)


def test_the_end_of_the_input_ends_a_program_that_reads_to_its_end() -> None:
    async def talk() -> None:
        async with talker("import sys; print(len(sys.stdin.read()))", auto_restart=False) as pm:
            async with pm.stdio("a") as (reader, writer):
                writer.write(b"12345")
                writer.write_eof()
                assert b"5\n" == await reader.readline()
                with pytest.raises(AgentEnded, match=r"'a' \(incarnation 1\) ended: normal") as caught:
                    await reader.readline()
            assert (1, "normal", 0) == (caught.value.incarnation, *[(caught.value.exit or {})[key] for key in ("class", "code")])

    run(talk)


def test_an_end_of_the_input_is_not_lost_when_the_conversation_ends_with_it() -> None:
    async def talk() -> None:
        async with talker("import sys; print(len(sys.stdin.read()))", auto_restart=False) as pm:
            async with pm.stdio("a") as (_reader, writer):
                writer.write(b"12345")
                writer.write_eof()
            await pm.wait_for("a", AgentStatus.STOPPED, LIMIT)
            assert ["5"] == await logged(pm, 1)

    run(talk)


def test_a_program_that_is_killed_fails_what_waits_and_the_next_conversation_is_with_the_next_incarnation() -> None:
    async def talk() -> None:
        async with talker() as pm:
            async with pm.stdio("a") as (reader, writer):
                writer.write(b"1\n")
                assert b"1\n" == await reader.readline()
                waiting = asyncio.create_task(reader.readline())
                await asyncio.sleep(0)
                kill(pm)
                with pytest.raises(AgentEnded, match="SIGKILL") as caught:
                    await waiting
                assert 1 == caught.value.incarnation
                with pytest.raises(AgentEnded):
                    await reader.readexactly(1)
                with pytest.raises(AgentEnded):
                    await reader.read()
                with pytest.raises(AgentEnded):
                    while True:
                        writer.write(b"2\n")
                        await writer.drain()
            async with pm.stdio("a") as (reader, writer):
                writer.write(b"3\n")
                assert b"3\n" == await reader.readline()
            assert 2 == pm.processes["a"].incarnation

    run(talk)


def test_a_conversation_that_begins_between_the_end_of_a_program_and_its_restart_waits_for_that() -> None:
    # What is left of the program keeps the incarnation from ending for a moment.
    program = "import os, sys, time\nif not os.fork(): time.sleep(1000)\n" + ECHO

    async def talk() -> None:
        async with talker(program, max_restarts=100, hooks={"post_exit": ["sleep", "0.2"]}) as pm:
            for number in range(1, 6):
                async with pm.stdio("a") as (reader, writer):
                    writer.write(b"1\n")
                    assert b"1\n" == await reader.readline()
                    assert number == pm.processes["a"].incarnation
                pid = pm.processes["a"].pid
                assert pid is not None
                pidfd = os.pidfd_open(pid)
                kill(pm)
                select.select([pidfd], [], [], LIMIT)
                os.close(pidfd)

    run(talk)


def test_what_the_program_said_last_is_read_before_its_end() -> None:
    async def talk() -> None:
        program = "input(); print('x' * 50_000 + chr(10) + 'cut', end='', flush=True); raise SystemExit(3)"
        async with talker(program) as pm, pm.stdio("a") as (reader, writer):
            writer.write(b"\n")
            assert [b"x" * 50_000 + b"\n", b"cut"] == [await reader.readline(), await reader.readline()]
            with pytest.raises(AgentEnded, match="3"):
                await reader.readline()

    run(talk)


def test_the_death_of_the_actor_ends_the_conversation() -> None:
    async def talk() -> None:
        async with talker() as pm, pm.stdio("a") as (reader, writer):
            writer.write(b"1\n")
            await reader.readline()
            pid = pm.processes["a"].pid
            assert pid is not None
            psutil.Process(pid).parent().kill()  # type: ignore[union-attr]
            with pytest.raises(AgentEnded):
                await reader.readline()

    run(talk)


def test_a_program_that_closes_its_stdout_and_goes_on_is_read_to_its_end() -> None:
    async def talk() -> None:
        async with talker("import os, time; input(); print('bye', flush=True); os.close(1); time.sleep(1000)") as pm:
            async with pm.stdio("a") as (reader, writer):
                writer.write(b"\n")
                assert b"bye\n" == await reader.read()
                assert b"" == await reader.read()
            assert AgentStatus.RUNNING == pm.get_agent_status("a")
            with pytest.raises(InputRefused, match="closed"):
                async with pm.stdio("a"):
                    pass

    run(talk)


def test_a_conversation_that_the_client_has_left_is_over_and_the_agent_is_not() -> None:
    async def talk() -> None:
        async with talker() as pm:
            async with pm.stdio("a") as (reader, writer):
                pass
            writer.write(b"late\n")
            for late in (writer.drain(), reader.readline()):
                with pytest.raises(InputRefused, match="this conversation with 'a' is over"):
                    await late
            assert AgentStatus.RUNNING == pm.get_agent_status("a")

    run(talk)


def test_a_conversation_is_with_one_client_alone() -> None:
    async def talk() -> None:
        async with talker() as pm:
            async with pm.stdio("a") as (reader, writer):
                with pytest.raises(InputRefused, match="another client is attached"):
                    async with pm.stdio("a"):
                        pass
                assert not await pm.tell("a", "between")
                writer.write(b"1\n")
                assert b"1\n" == await reader.readline()
            assert await pm.tell("a", "after")
            assert ["1", "after"] == await logged(pm, 2)

    run(talk)


def test_who_has_no_such_stdin_takes_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "agents"))

    async def talk() -> None:
        async with manager() as pm:
            with pytest.raises(NotRunning):
                async with pm.stdio("a"):
                    pass
            assert await pm.start_agent("a", "process_wrapper", {"command": "sleep", "args": ["1000000"]})
            assert await pm.start_agent("b", "native_llm", STEADY)
            for agent_id, why in (("a", 'stdin = "pipe"'), ("b", "native")):
                with pytest.raises(InputRefused, match=why):
                    async with pm.stdio(agent_id):
                        pass
            with pytest.raises(RequestTimeout, match="'c' is not in the tree"):
                async with pm.stdio("c", timeout=0.2):
                    pass

    run(talk)


def test_a_program_is_stopped_by_the_end_of_its_input_also_in_a_conversation() -> None:
    async def talk() -> None:
        async with talker(stop={"cancel": 20, "sigint": 0, "sigterm": 0}) as pm, pm.stdio("a") as (reader, writer):
            writer.write(b"1\n")
            await reader.readline()
            assert await pm.stop_agent("a")
            assert 0 == (pm.processes["a"].last_exit or {})["code"]
            with pytest.raises(AgentEnded):
                await reader.readline()

    run(talk)


def test_a_client_that_never_reads_costs_nothing_but_the_programs_time() -> None:
    async def talk() -> None:
        async with talker("while True: print('x' * 1000)") as pm, pm.stdio("a", limit=1024) as (_reader, _writer):
            actor = psutil.Process(pm.processes["a"].pid).parent()
            assert actor is not None
            await asyncio.sleep(1)
            before = actor.memory_info().rss, psutil.Process().memory_info().rss
            await asyncio.sleep(1)
            after = actor.memory_info().rss, psutil.Process().memory_info().rss
            assert all(late - early < 10_000_000 for early, late in zip(before, after, strict=True))
            began = time.monotonic()
            assert await pm.stop_agent("a", graceful=False)
            assert time.monotonic() - began < 10

    run(talk)


def test_threads_talk_without_asyncio() -> None:
    with BlockingProcessManager() as pm:
        assert pm.start_agent("a", "process_wrapper", python(ECHO))
        with pm.stdio("a") as (reader, writer):
            writer.write(b"1\n2\n345\n")
            assert [b"1\n", b"2\n", b"345\n"] == [reader.readline(), reader.readuntil(), reader.readexactly(4)]
            writer.write_eof()
            with pytest.raises(AgentEnded):
                next(iter(reader))
    assert [] == psutil.Process().children(recursive=True)
