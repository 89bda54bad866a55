"""What a flood of output costs: how fast it is kept, beside a plain `cat > file`, in how much memory, and what other agents notice of it.

    python benchmarks/output_flood.py [--megabytes N] [--check]

With --check the exit status is 1 when the actor of the flooding agent took more than 64 MB, or when another agent's restart took more
than twice as long under the flood.
"""

import argparse
import asyncio
import contextlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from suptree.control.client.client import Client
from suptree.supervisors.config.child_from_config import agent_child_from_config
from suptree.testing import LiveTree, kill

TREE = """
[supervisors.root]
max_restarts = 1000000

[agents.quiet]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
"""
WIDE = "x" * 79
KINDS = {
    "80-byte lines": f"yes {WIDE}",
    "2-byte lines": "yes",
    "no newline": "cat /dev/zero",
}
RESTARTS = 30


def both_pipes(source: str, size: int) -> str:
    """A shell line that prints `size` bytes to its output and as much to its error output at the same time."""
    part = f"{source} | head -c {size // 2}"
    return f"{{ {part}; }} & {{ {part}; }} >&2; wait"


def seconds_of_cat(script: str) -> float:
    """How long the same output takes through two pipes into two files."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        with (
            subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program,
            (Path(folder) / "out").open("wb") as out,
            (Path(folder) / "err").open("wb") as err,
            subprocess.Popen(["cat"], stdin=program.stdout, stdout=out),
            subprocess.Popen(["cat"], stdin=program.stderr, stdout=err),
        ):
            pass
        return time.perf_counter() - begun


async def run_agent(client: Client, agent_id: str, script: str) -> None:
    """Start an agent that is not restarted."""
    await client.start_new(agent_child_from_config(agent_id, "process_wrapper", {"command": "sh", "args": ["-c", script]}, "/"))


async def seconds_of_agent(client: Client, agent_id: str, script: str) -> tuple[float, float]:
    """How long the same output takes as an agent's, and the peak memory of its actor in MB."""
    await run_agent(client, agent_id, script)
    peak, at = 0.0, {}
    pid = (await client.agent(agent_id))["actor_pid"]
    while "agent_exited" not in at:
        with contextlib.suppress(OSError, TypeError):
            peak = max(peak, peak_memory(pid))
        at = {event["event"]: event["at"] for event in await client.known_events() if event["id"] == agent_id}
        await asyncio.sleep(0.05)
    begun, ended = (datetime.fromisoformat(at[event]) for event in ("agent_started", "agent_exited"))
    return (ended - begun).total_seconds(), peak


def peak_memory(pid: int) -> float:
    """The most memory that a process ever had resident, in MB; 0 of one that has ended."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    return int(found[1]) * 1024 / 1e6 if found is not None else 0.0


async def restart_latency(client: Client) -> float:
    """Seconds from the death of another agent's program until it runs again: the median of many."""
    took = []
    agent = await client.agent("quiet")
    async with contextlib.aclosing(client.events((await client.picture())["seq"])) as events:
        for _ in range(RESTARTS):
            begun = time.perf_counter()
            kill(agent["pid"], signal.SIGKILL)
            async for event in events:
                if event["event"] == "agent_started" and event["id"] == "quiet":
                    break
            took.append(time.perf_counter() - begun)
            agent = await client.agent("quiet")
    return statistics.median(took)


async def measure(client: Client, size: int) -> bool:
    """Print everything; return whether it is good enough."""
    good = True
    for number, (kind, source) in enumerate(KINDS.items()):
        script = both_pipes(source, size)
        plain = seconds_of_cat(script)
        ours, peak = await seconds_of_agent(client, f"writer{number}", script)
        good = good and peak < 64
        print(f"{kind:14} {size / ours / 1e9:5.2f} GB/s, {ours / plain:4.1f} times a plain cat ({size / plain / 1e9:.2f} GB/s); ", end="")
        print(f"the actor took at most {peak:.0f} MB", flush=True)
    calm = await restart_latency(client)
    print(f"restart of another agent {calm * 1e3:6.1f} ms")
    load = await asyncio.create_subprocess_shell(f"exec yes {WIDE} | cat > /dev/null", start_new_session=True)
    plain = await restart_latency(client)
    kill(-load.pid)
    await load.wait()
    print(f"… beside yes | cat > /dev/null {plain * 1e3:9.1f} ms, {plain / calm:.2f} times")
    for number, source in enumerate(KINDS.values()):
        await run_agent(client, f"flood{number}", f"exec {source}")
        flooded = await restart_latency(client)
        begun = time.perf_counter()
        await client.stop(f"flood{number}")
        stopped = time.perf_counter() - begun
        print(
            f"… under the flood of {source[:13]:13} {flooded * 1e3:6.1f} ms, {flooded / calm:.2f} times; stopped in {stopped * 1e3:.0f} ms",
            flush=True,
        )
        good = good and flooded < 2 * calm
    return good


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    with LiveTree(TREE) as tree:
        good = tree.ask(lambda client: measure(client, options.megabytes * 1_000_000))
    return 1 if options.check and not good else 0


if __name__ == "__main__":
    sys.exit(main())
