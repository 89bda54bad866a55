"""Answer supervision scenarios with traces, to be compared with what Erlang/OTP does: one JSON object a line in, one JSON list a line out.

    python -m suptree.scripts.otp_trace [--live] < scenarios.jsonl

docs/semantics.md describes both formats.
"""

import asyncio
import json
import sys
from collections.abc import Iterable

import click

from .otp_live import live_traces
from .otp_simulation import Simulation


def main(lines: Iterable[str]) -> None:
    """Print the trace of each scenario."""
    for line in lines:
        if line.strip():
            print(json.dumps(Simulation(json.loads(line)).run()), flush=True)


@click.command()
@click.option("--live", is_flag=True, help="On real supervisor and agent actors, instead of the core on a simulated clock.")
def command(*, live: bool) -> None:
    """Read scenarios on standard input, print traces."""
    if not live:
        main(sys.stdin)
        return

    async def run() -> None:
        async for trace in live_traces(json.loads(line) for line in sys.stdin if line.strip()):
            print(json.dumps(trace), flush=True)

    asyncio.run(run())


if __name__ == "__main__":
    command()
