"""A storm: random kills of anything that belongs to a tree of hostile programs, seeded and repeatable.

    python -m tests.hostile.storm --seed 1 --kills 500 [--without-cgroups]

After each settling: every agent that stays runs; every process of the tree descends from its launcher; of what was killed nothing is left;
no two incarnations of an agent have lived at the same time; the bystanders, of the same name, command and user, still live.
"""

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from suptree.actors.kernel.cgroup import OFF_VARIABLE, run_groups
from suptree.testing import LiveTree, kill
from tests.polling import poll_until

from .hostile_fleet import FLEET, SETTLE, Hostile, Ledger, tree

_AGAIN = ("ignores_signals", "double_forks", "closes_outputs", "writes_garbage", "stops_itself", "makes_zombies", "executes_another")
_SEVERAL = 3
_BYSTANDER = ["sleep", "1000000"]

AGENTS: dict[str, Hostile] = {
    **FLEET,
    **{f"{program}-2": Hostile(program) for program in _AGAIN},
}
_MORE = """
[agents.plain]
type = "process_wrapper"
supervisor = "group1"
command = "sleep"
args = ["1000000"]
max_restarts = 1000000

[agents.worker-1]
type = "native_llm"
supervisor = "group0"
factory = "workers:Worker"
max_restarts = 1000000

[agents.worker-2]
type = "native_llm"
supervisor = "group2"
factory = "workers:Worker"
max_restarts = 1000000

[agents.forker-1]
type = "process_wrapper"
supervisor = "group0"
command = "sh"
args = ["-c", "setsid sleep 1000000 & sleep 1000000 & wait"]
max_restarts = 1000000

[agents.forker-2]
type = "process_wrapper"
supervisor = "group2"
command = "sh"
args = ["-c", "trap '' INT TERM; (setsid sh -c 'sleep 1000000 & wait' &) ; sleep 1000000"]
max_restarts = 1000000
stop = { cancel = 0, sigint = 0.3, sigterm = 0.3 }
"""
_WORKERS = '''
class Worker:
    """Does nothing, well."""

    def __init__(self, *_about):
        pass
'''
STAYING = {agent for agent, hostile in AGENTS.items() if hostile.stays} | {"plain", "worker-1", "worker-2", "forker-1", "forker-2"}

Row = dict[str, Any]


class Storm:
    """One storm over one tree."""

    def __init__(self, running: LiveTree, ledger: Ledger, seed: int) -> None:
        self._running = running
        self._ledger = ledger
        self._random = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.slowest = 0.0

    def settle(self, since: Row | None = None, killed: frozenset[str] = frozenset()) -> None:
        """Wait until everything runs again, and look whether all is as it must be."""
        began = time.monotonic()
        before = {row["id"]: row["incarnation"] for row in since["agents"]} if since else {}
        status = self._running.wait_until(
            lambda status: (
                all(
                    row["status"] == "running" and row["incarnation"] > (before.get(row["id"], 0) if row["id"] in killed else 0)
                    for row in status["agents"]
                    if row["id"] in STAYING
                )
                and all(row["status"] == "running" for row in status["supervisors"])
                and None not in status["pids"].values()
            ),
            SETTLE,
        )
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.expect_one_family(status)
        assert [] == self._ledger.overlaps()

    def expect_one_family(self, status: Row) -> None:
        """Every process with our run token descends from the launcher, and so does every process that ever signed and is still there."""
        launcher = status["pids"]["launcher"]
        poll_until(lambda: not [*self._orphans(launcher)], SETTLE, lambda: f"the end of {[*self._orphans(launcher)]}, outside of the tree")

    def _orphans(self, launcher: int) -> Iterator[str]:
        pids = {process.pid for process in self._running.processes()} | {signature.pid for signature in self._ledger.left()}
        for pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if pid != launcher and launcher not in {parent.pid for parent in process.parents()}:
                    yield f"{pid} {process.status()} {process.cmdline()}"

    def strike(self) -> None:
        """Kill something, or several things together; then settle."""
        status = self._running.status()
        victims = self._random.choices(list(_TARGETS), weights=[weight for _name, (weight, _) in _TARGETS.items()], k=self._how_many())
        killed: set[str] = set()
        for victim in victims:
            pid, agent = _TARGETS[victim][1](self, status)
            if pid is None:
                continue
            with contextlib.suppress(ProcessLookupError):
                kill(pid)
                self.kills[victim] += 1
                if agent is not None:
                    killed.add(agent)
        if {"launcher", "admin", "top"} & set(victims):
            self._again()
        else:
            self.settle(status, frozenset(killed))

    def _how_many(self) -> int:
        return self._random.randint(1, _SEVERAL) if self._random.random() < 0.3 else 1

    def _again(self) -> None:
        self._running.wait_for_end()
        self._running.expect_nothing_left()
        self._ledger.wait_until_gone(self._ledger.signatures())
        assert not run_groups(self._running.run_ids[-1]).exist
        self._running.run_ids.clear()
        self._running.up()
        self.settle()

    def agent_row(self, status: Row) -> Row:
        """A random agent that stays."""
        return self._random.choice([row for row in status["agents"] if row["id"] in STAYING])

    def supervisor_row(self, status: Row) -> Row:
        """A random supervisor."""
        row: Row = self._random.choice(status["supervisors"])
        return row

    def descendant(self, _status: Row) -> int | None:
        """A random process of a hostile program."""
        there = sorted(self._ledger.left(), key=lambda signature: signature.pid)
        return self._random.choice(there).pid if there else None


def _program(storm: Storm, status: Row) -> tuple[int | None, str | None]:
    row = storm.agent_row(status)
    return row["pid"], row["id"] if row["pid"] is not None else None


def _actor(storm: Storm, status: Row) -> tuple[int | None, str | None]:
    row = storm.agent_row(status)
    return row["actor_pid"], row["id"]


def _service(name: str) -> Callable[[Storm, Row], tuple[int | None, str | None]]:
    return lambda _storm, status: (status["pids"][name], None)


_TARGETS: dict[str, tuple[float, Callable[[Storm, Row], tuple[int | None, str | None]]]] = {
    "program": (30, _program),
    "descendant": (15, lambda storm, status: (storm.descendant(status), None)),
    "actor": (25, _actor),
    "supervisor": (12, lambda storm, status: (storm.supervisor_row(status)["actor_pid"], None)),
    "heartbeat": (6, _service("heartbeat")),
    "registry": (6, _service("registry")),
    "top": (1, _service("top")),
    "admin": (2, _service("admin")),
    "launcher": (3, _service("launcher")),
}
"""What is killed, how often, and which pid that is."""


@contextlib.contextmanager
def bystanders() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Processes of nobody's tree, with the name and the command of an agent's; they must outlive the storm."""
    started = [subprocess.Popen(_BYSTANDER, start_new_session=bool(number)) for number in range(2)]
    try:
        yield started
        assert [None, None] == [process.poll() for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()


def run(folder: Path, seed: int, kills: int, say: Callable[[str], None] = lambda _line: None) -> Storm:
    """Let a storm of that many kills pass over a tree; AssertionError when something is not as it must be."""
    ledger = Ledger(folder)
    (folder / "workers.py").write_text(_WORKERS)
    with bystanders(), LiveTree(tree(folder, AGENTS) + _MORE, sys_path=[str(folder)]) as running:
        storm = Storm(running, ledger, seed)
        ledger.wait_until_signed(set(AGENTS))
        storm.settle()
        while storm.kills.total() < kills:
            storm.strike()
            say(f"{storm.kills.total()} kills: {dict(storm.kills)}; the slowest settling took {storm.slowest:.1f} s")
    ledger.wait_until_gone(ledger.signatures())
    assert not any(run_groups(run_id).exist for run_id in running.run_ids)
    return storm


def main() -> None:
    """Run one storm from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--without-cgroups", action="store_true")
    options = parser.parse_args()
    if options.without_cgroups:
        os.environ[OFF_VARIABLE] = "off"
    with tempfile.TemporaryDirectory(prefix="suptree-storm-") as folder:
        storm = run(Path(folder), options.seed, options.kills, lambda line: print(line, file=sys.stderr))
        print(
            f"seed {options.seed}: {storm.kills.total()} kills, {len(Ledger(Path(folder)).signatures())} processes signed, 0 processes left"
        )


if __name__ == "__main__":
    main()
