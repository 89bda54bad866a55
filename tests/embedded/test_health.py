"""Which agents a ProcessManager takes for healthy."""

import sys

from tests.polling import poll_until_async

from .managed import manager, run


def test_an_agent_that_says_that_it_suspects_something_is_healthy() -> None:
    """What it says of itself is for people."""
    words = "suspecting fraud"
    notify = 'import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ["NOTIFY_SOCKET"]); '
    program = f'{notify}s.send(b"STATUS={words}"); import time; time.sleep(1000)'

    async def watch() -> None:
        async with manager() as pm:
            assert await pm.start_agent("a", "process_wrapper", {"command": sys.executable, "args": ["-c", program]})
            await poll_until_async(lambda: pm.get_all_agents()["a"].detail == words)
            assert {"a": True} == await pm.monitor_agent_health()

    run(watch)
