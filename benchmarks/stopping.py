"""How long a stop takes: each rung beside the time that it was given, and a stop without grace beside a bare SIGKILL and wait.

python benchmarks/stopping.py
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from suptree.control.client.client import Client
from suptree.testing import LiveTree

TIMES = 20
RUNG = 0.5
IGNORES = "trap '' INT TERM; while :; do sleep 1; done"
TREE = f"""
[tree]
name = "stopping"

[agents.stubborn]
type = "process_wrapper"
command = "sh"
args = ["-c", "{IGNORES}"]
stop = {{ cancel = 0, sigint = {RUNG}, sigterm = {RUNG} }}
"""


def bare_kill() -> float:
    """Seconds from SIGKILL of the same program, by its parent, to its end."""
    program = subprocess.Popen(["/bin/sh", "-c", IGNORES])
    time.sleep(0.05)
    began = time.perf_counter()
    program.kill()
    program.wait()
    return time.perf_counter() - began


async def stops(client: Client, *, graceful: bool, times: int) -> list[float]:
    """Seconds from each request to its answer, which comes when nothing is left."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await client.stop("stubborn", graceful=graceful)
        taken.append(time.perf_counter() - began)
        await client.start("stubborn")
        await asyncio.sleep(0.1)
    return taken


def main() -> None:
    """Print what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stopping.toml"
        file.write_text(TREE)
        with LiveTree(file) as running:
            killed = running.ask(lambda client: stops(client, graceful=False, times=TIMES))
            climbed = running.ask(lambda client: stops(client, graceful=True, times=3))
    bare = statistics.median(bare_kill() for _ in range(TIMES))
    median, most = statistics.median(killed), max(killed)
    print(f"graceful=False: {median * 1000:.1f} ms (at most {most * 1000:.1f} ms), a bare SIGKILL and wait: {bare * 1000:.1f} ms")
    taken = statistics.median(climbed)
    print(f"two rungs of {RUNG} s each: {taken:.3f} s, {taken / (2 * RUNG):.2f} times what they were given")
    if most > 0.1:
        sys.exit("a stop without grace took longer than 100 ms")


if __name__ == "__main__":
    main()
