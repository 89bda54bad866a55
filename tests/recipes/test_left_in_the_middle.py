"""A program that leaves the events or the output in the middle, and whose event loop ends then: nothing is printed, and nothing is lost."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, gc
from suptree.control import ProcessAgent, ProcessManager

manager = ProcessManager()
AGENT = ProcessAgent(command="sh", args=["-c", "while echo line; do sleep 0.1; done"], auto_restart=True)

async def leaves():
    await manager.start_agent("a", AGENT)
    async for entry in manager.events(after=0):
        break
    async for line in manager.output("a", lines=1):
        break
    found = manager.events("a")
    await manager.restart_agent("a")
    # What has happened since the call comes, although nobody has read before.
    print((await anext(found)).event.name)

async def ends():
    print(await manager.stop_agent("a"))
    await manager.shutdown_all()

asyncio.run(leaves())
gc.collect()
asyncio.run(ends())
gc.collect()
"""


def test_it_ends_without_a_word_of_asyncio(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM],
        env={**os.environ, "SUPTREE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "took 0." not in line]
    assert (0, ["stopping", "True"], []) == (done.returncode, done.stdout.split(), said), done.stderr
