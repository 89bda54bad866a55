"""A conversation over stdio: how long a JSON-RPC request takes from `pm.stdio`, beside `asyncio.subprocess` alone, in one run.

python benchmarks/stdio_latency.py [COMMAND [ARGUMENT]...]

COMMAND is a program that answers each line of JSON-RPC with one; without it, a program that sends each line back. With an MCP server
(`npx -y @modelcontextprotocol/server-everything`) its tool `echo` is called. Then so many lines at full speed through `pm.output`.
"""

import asyncio
import contextlib
import json
import statistics
import sys
import time
from typing import Any

from suptree.control import ProcessManager

MESSAGES = 10_000
ROUNDS = 5
LINES = 200_000
ECHO = [sys.executable, "-c", "import sys\nfor line in sys.stdin.buffer: sys.stdout.buffer.write(line); sys.stdout.buffer.flush()"]
HELLO = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}


class Peer:
    """One program at the other end of a reader and a writer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._last = 0

    async def call(self, method: str, params: dict[str, Any]) -> None:
        """One request, and its answer."""
        self._last += 1
        self._writer.write(json.dumps({"jsonrpc": "2.0", "id": self._last, "method": method, "params": params}).encode() + b"\n")
        await self._writer.drain()
        while json.loads(await self._reader.readline()).get("id") != self._last:
            pass

    async def begin(self) -> None:
        """What an MCP server wants first."""
        await self.call("initialize", HELLO)
        self._writer.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')

    async def times(self, count: int) -> list[float]:
        """How many microseconds each of so many calls takes."""
        taken = []
        for number in range(count):
            began = time.perf_counter()
            await self.call("tools/call", {"name": "echo", "arguments": {"message": f"message {number}"}})
            taken.append((time.perf_counter() - began) * 1e6)
        return taken


async def lines_a_second() -> float:
    """How many lines a second come out of `pm.output`."""
    program = f"for number in range({LINES}): print('a line of output', number)\ninput()"
    async with ProcessManager() as pm:
        began = time.perf_counter()
        await pm.start_agent("a", "process_wrapper", command=sys.executable, args=["-c", program], stdin="pipe")
        async with contextlib.aclosing(pm.output("a", "out", lines=LINES)) as output:
            count = 0
            async for _line in output:
                count += 1
                if count == LINES:
                    return LINES / (time.perf_counter() - began)
    return 0.0


async def main(command: list[str]) -> None:
    """Both, by turns."""
    bare_all: list[float] = []
    ours_all: list[float] = []
    async with ProcessManager() as pm:
        await pm.start_agent("a", "process_wrapper", command=command[0], args=command[1:], stdin="pipe")
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        async with pm.stdio("a") as (reader, writer):
            bare, ours = Peer(process.stdout, process.stdin), Peer(reader, writer)
            for peer in (bare, ours):
                if command is not ECHO:
                    await peer.begin()
                await peer.times(MESSAGES // ROUNDS)
            for _ in range(ROUNDS):
                bare_all += await bare.times(MESSAGES // ROUNDS)
                ours_all += await ours.times(MESSAGES // ROUNDS)
        process.kill()
        await process.wait()
    for name, taken in (("asyncio.subprocess", bare_all), ("pm.stdio", ours_all)):
        cuts = statistics.quantiles(taken, n=100)
        print(f"{name:20} n={len(taken)} p50 {cuts[49]:.0f} us, p99 {cuts[98]:.0f} us")
    print(f"ratio of the medians: {statistics.median(ours_all) / statistics.median(bare_all):.2f}")
    print(f"pm.output: {await lines_a_second():,.0f} lines a second, the start of the tree and the program included")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or ECHO))
