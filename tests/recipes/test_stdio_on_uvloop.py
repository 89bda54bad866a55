"""A conversation with a program, in a program whose loop is uvloop's: what ends it is said as on a loop of asyncio's."""

import asyncio

import pytest

from suptree.actors.errors import AgentEnded
from tests.embedded.managed import run
from tests.embedded.test_stdio import kill, talker

uvloop = pytest.importorskip("uvloop")


def test_it_is_left_after_the_end_of_the_input_as_on_any_loop() -> None:
    async def talk() -> None:
        async with talker() as pm, pm.stdio("a") as (reader, writer):
            writer.write(b"last\n")
            writer.write_eof()
            assert b"last\n" == await reader.readline()
            with pytest.raises(AgentEnded):
                await reader.readline()
            writer.write_eof()

    run(talk, uvloop.new_event_loop)


@pytest.mark.parametrize("several", [False, True])
def test_what_is_written_to_one_that_was_killed_says_how_it_ended(several: bool) -> None:
    async def talk() -> None:
        async with talker() as pm:
            async with pm.stdio("a") as (reader, writer):
                writer.writelines([b"hel", b"lo\n"])
                assert b"hello\n" == await reader.readline()
                kill(pm)
                with pytest.raises(AgentEnded, match="crash"):
                    while True:
                        if several:
                            writer.writelines([b"more", b"\n"])
                        else:
                            writer.write(b"more\n")
                        await writer.drain()
                        await asyncio.sleep(0)
            async with pm.stdio("a") as (reader, writer):
                writer.write(b"again\n")
                await writer.drain()
                assert b"again\n" == await reader.readline()

    run(talk, uvloop.new_event_loop)


def test_a_program_that_reads_nothing_and_is_killed_leaves_nobody_waiting() -> None:
    async def talk() -> None:
        async with talker("import time; time.sleep(1000)") as pm, pm.stdio("a") as (_reader, writer):
            writer.write(bytes(1_000_000))
            waiting = asyncio.create_task(writer.drain())
            await asyncio.sleep(0)
            kill(pm)
            with pytest.raises(AgentEnded, match="crash"):
                await asyncio.wait_for(waiting, 20)

    run(talk, uvloop.new_event_loop)
