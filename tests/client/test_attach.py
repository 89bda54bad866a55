"""The socket that leads a client to the stdin and stdout of a program."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import pytest

from suptree.actors.errors import InputRefused
from suptree.control.client.client import Client
from suptree.testing import LiveTree
from tests.polling import EVERY

LIMIT = 30.0
ECHO = "import sys\nfor line in sys.stdin.buffer: sys.stdout.buffer.write(line); sys.stdout.buffer.flush()"
TREE = f"""
[agents.a]
type = "process_wrapper"
command = "{sys.executable}"
args = ["-c", '''{ECHO}''']
stdin = "pipe"
"""

TALKS_AND_DIES = """
import os, select, socket, sys
from suptree.actors.program.attachment_frames import receive_ends
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
stdin, stdout, _before, _in_line = receive_ends(connection)
os.write(stdin, b"hello\\n")
assert select.select([stdout], [], [], 10)[0]
assert b"hello\\n" == os.read(stdout, 100)
os.write(stdin, b"half of a li")
os.kill(os.getpid(), 9)
"""


async def tell_when_taken(client: Client, line: str) -> None:
    """Tell it, when the actor has seen that the other client is gone: no event says so, and this polls."""
    while True:
        with contextlib.suppress(InputRefused):
            await client.tell("a", line)
            return
        await asyncio.sleep(EVERY)


def test_a_program_outlives_a_client_that_is_killed() -> None:
    with LiveTree(TREE) as tree:
        tree.wait_until_all_run()

        async def talk(client: Client) -> int:
            path, _incarnation = await client.attach("a")
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", TALKS_AND_DIES, str(path))
            status = await process.wait()
            await tell_when_taken(client, "ne")
            async with contextlib.aclosing(client.follow_log("a")) as lines:
                async for line in lines:
                    if line.endswith(" half of a line"):
                        break
            return status

        assert -signal.SIGKILL == tree.ask(lambda client: asyncio.wait_for(talk(client), LIMIT))
        assert 1 == tree.agent("a")["incarnation"]


def test_a_socket_that_no_client_came_to_is_gone_with_the_agent() -> None:
    with LiveTree(TREE) as tree:
        tree.wait_until_all_run()

        async def offered(client: Client) -> Path:
            path, _ = await client.attach("a")
            with pytest.raises(InputRefused, match="another client"):
                await client.attach("a")
            assert path.is_socket()
            await client.stop("a")
            return path

        assert not tree.ask(offered).exists()
