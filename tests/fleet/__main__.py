"""A fleet of real programs under a seeded storm: what is killed is back and serves, its class is right, and nothing is left.

    python -m tests.fleet --seed 1 --seconds 600 [--npm FOLDER]

It runs as root, for one program of it runs as another user, and says which Debian packages it needs. The MCP servers come from npm, into
FOLDER.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from suptree.control.client.client import Client
from suptree.testing import LiveTree, kill
from tests.polling import poll_until

from .programs import MCP_SERVERS, Member, fleet, install_mcp_servers, missing, tree

SETTLE = 60.0
"""Seconds until everything must run and serve again."""
_PAUSE = 2.0
"""Seconds between two strikes, on average."""
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM)

Row = dict[str, Any]


class Storm:
    """One storm over one fleet."""

    def __init__(self, running: LiveTree, members: dict[str, Member], seed: int) -> None:
        self._running = running
        self._members = members
        self._random = random.Random(seed)
        self.strikes: Counter[str] = Counter()
        self.classes: Counter[str] = Counter()
        self.slowest = 0.0

    def settle(self, after: dict[str, int]) -> Row:
        """The status when every agent runs, those in `after` in a later incarnation than is said there, and every server serves."""
        began = time.monotonic()
        status = self._running.wait_until(
            lambda status: all(row["status"] == "running" and row["incarnation"] > after.get(row["id"], 0) for row in status["agents"]),
            SETTLE,
        )
        for agent_id, member in self._members.items():
            # Only asking tells whether a server serves.
            poll_until(member.serves, began + SETTLE - time.monotonic(), f"{agent_id} serves")
        self.slowest = max(self.slowest, time.monotonic() - began)
        return status

    def strike(self) -> None:
        """Send a signal to something of one agent, then look whether all is as it must be."""
        status = self._running.status()
        row = self._random.choice(status["agents"])
        what = self._random.choices(["program", "descendant", "actor"], weights=[60, 25, 15])[0]
        number = self._random.choice(_SIGNALS) if what == "program" else signal.SIGKILL
        pid = {"program": row["pid"], "actor": row["actor_pid"], "descendant": self._descendant(row["pid"])}[what]
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            kill(pid, number)
        self.strikes[f"{what} {number.name}"] += 1
        # A server that loses one of its own workers may start another one, or end.
        status = self.settle({} if what == "descendant" else {row["id"]: row["incarnation"]})
        if what != "descendant":
            ended = next(found for found in status["agents"] if found["id"] == row["id"])["last_exit"]["class"]
            expected = self._members[row["id"]].after_sigterm if number == signal.SIGTERM else frozenset({"crash"})
            assert ended in expected, (row["id"], what, number.name, ended, expected)
            self.classes[ended] += 1

    def pause(self) -> None:
        """Some time in which nothing is struck."""
        time.sleep(self._random.expovariate(1 / _PAUSE))

    def ask_mcp_servers(self) -> None:
        """Each MCP server answers `initialize` and lists its tools."""
        for name in MCP_SERVERS:
            agent_id = f"mcp-{name}"
            client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "suptree", "version": "1"}}
            for message in (
                {"jsonrpc": "2.0", "id": "suptree-1", "method": "initialize", "params": client},
                {"jsonrpc": "2.0", "method": "notifications/initialized"},
                {"jsonrpc": "2.0", "id": "suptree-2", "method": "tools/list"},
            ):
                self._running.ask(partial(Client.tell, agent_id=agent_id, text=json.dumps(message)))
            log = self._running.launcher.paths.state / "logs" / f"{agent_id}.log"
            poll_until(partial(_lists_tools, log), SETTLE, f"{agent_id} answers")

    def _descendant(self, pid: int) -> int | None:
        with contextlib.suppress(psutil.NoSuchProcess):
            below = sorted(child.pid for child in psutil.Process(pid).children(recursive=True))
            return self._random.choice(below) if below else None
        return None


def _lists_tools(log: Path) -> bool:
    """Whether an MCP server has answered both requests."""
    text = log.read_text(errors="replace")
    return '"suptree-2"' in text and '"tools"' in text


def run(folder: Path, npm: Path, seed: int, seconds: float) -> Storm:
    """Let a storm of so many seconds pass over the fleet; AssertionError when something is not as it must be."""
    folder.chmod(0o711)
    members = fleet(folder, npm)
    with LiveTree(tree(members)) as running:
        storm = Storm(running, members, seed)
        storm.settle({})
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            storm.strike()
            print(f"{sum(storm.strikes.values())} strikes; the slowest settling took {storm.slowest:.1f} s", file=sys.stderr)
            storm.pause()
        storm.ask_mcp_servers()
    return storm


def main() -> None:
    """Run one storm from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--npm", type=Path, help="where the MCP servers are, or are installed")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("run it as root: one of its programs runs as another user")
    if packages := missing():
        sys.exit(f"apt-get install --no-install-recommends {' '.join(packages)}")
    with tempfile.TemporaryDirectory(prefix="suptree-fleet-") as folder, tempfile.TemporaryDirectory(prefix="suptree-npm-") as scratch:
        npm = options.npm or Path(scratch)
        if not (npm / "node_modules" / "@modelcontextprotocol").is_dir():
            install_mcp_servers(npm)
        storm = run(Path(folder), npm.absolute(), options.seed, options.seconds)
    print(f"seed {options.seed}: {dict(storm.strikes)}, classes {dict(storm.classes)}")
    print(f"the slowest settling took {storm.slowest:.1f} s; 0 processes left")


if __name__ == "__main__":
    main()
