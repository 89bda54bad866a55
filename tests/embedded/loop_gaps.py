"""How long an event loop was held up by its own program."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

_FIRST_START = """
import asyncio
from loop_gaps import gaps_of_the_loop
from suptree.control import ProcessManager

async def main():
    async with gaps_of_the_loop() as gaps, ProcessManager() as pm:
        assert await pm.start_agent("a", "process_wrapper", {"command": "sleep", "args": ["1000000"]})
    print(max(gaps))

asyncio.run(main())
"""
_TASKS = Path("/proc/self/task")


@contextlib.asynccontextmanager
async def gaps_of_the_loop() -> AsyncIterator[list[float]]:
    """Seconds between the ticks of a task that ticks every 5 ms, without those for which a thread of this program waited for a core.

    What others do on a busy machine is not the loop's; and a thread that waits for a core may have the interpreter's lock.
    """
    gaps: list[float] = []

    async def tick() -> None:
        waits, last = _waits(), time.perf_counter()
        while True:
            await asyncio.sleep(0.005)
            now, later = time.perf_counter(), _waits()
            gaps.append(now - last - sum(wait - waits.get(thread, 0.0) for thread, wait in later.items()))
            # To look takes its time too, which is in no gap.
            waits, last = later, time.perf_counter()

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    yield gaps
    ticking.cancel()


def longest_gap_of_a_first_start() -> float:
    """For how many seconds at a time the first start of a program holds its loop up, in a program of its own."""
    here = Path(__file__).parent
    return float(subprocess.run([sys.executable, "-c", _FIRST_START], cwd=here, capture_output=True, check=True, timeout=100).stdout)


def late(gaps: list[float]) -> list[float]:
    """Those of more than 100 ms; `benchmarks/first_start.py` holds the first start of a program to 50 ms.

    The kernel does not report a wait for a child that was just forked to get a core, nor of a core that the host of a virtual machine
    takes away: one or two may be for these.
    """
    return [gap for gap in gaps if gap > 0.1]


def _waits() -> dict[str, float]:
    """By thread of this program how long, in seconds, it has waited for a core so far, as the kernel tells."""
    waits = {}
    for task in _TASKS.iterdir():
        with contextlib.suppress(OSError):  # It ended just now.
            waits[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
    return waits
