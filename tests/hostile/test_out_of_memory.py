"""Memory really runs out, in a group of the kernel that holds a whole tree: agents are taken, and nothing of ours."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from suptree.actors.kernel.cgroup import Cgroup, make_run_groups, own_groups
from suptree.actors.kernel.linux import OOM_SCORE_OF_AGENTS
from suptree.testing import LiveTree
from tests.polling import poll_until

from ..access.other_user import PYTHON, needs_root

WITHIN = 90.0
AGENTS = str(Path(__file__).parents[1] / "agents")
ALL_MEMORY = 768 * 1024 * 1024
"""Of the tree and its agents; the tree alone takes a third of it."""
pytestmark = needs_root

EATS = "eaten = [bytearray(b'x') * 1_000_000 for _ in range(10_000)]"
EATS_IN_MANY = """
import os, time
for _ in range(60):
    if os.fork() == 0:
        eaten = bytearray(b'x') * 20_000_000
        time.sleep(1000)
time.sleep(1000)
"""
WOULD_BE_SPARED = (
    """
import os
for value in ("-1000", "0"):
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(value)
    except PermissionError:
        print("is refused", value, flush=True)
"""
    + EATS
)
EATS_AS_ITS_CHILD = "import os\nif os.fork():\n    os.wait()\n" + EATS


class Little:
    """The memory of one tree."""

    def __init__(self, group: Cgroup, paths: list[Path]) -> None:
        self._group = group
        self._paths = paths

    def kills(self) -> int:
        """How many processes the kernel has ended in it."""
        return self._group.oom_kills()

    def pids(self) -> set[int]:
        """The processes in it."""
        files = [path / "cgroup.procs" for path in self._paths if path.is_dir()]
        return {int(pid) for file in files for pid in file.read_text().split()}

    @contextlib.contextmanager
    def tree(self, text: str, sys_path: list[str]) -> Iterator[LiveTree]:
        """A tree all of whose processes are in the group; this one is not."""
        tree = LiveTree(text, sys_path=sys_path)
        before = own_groups().paths
        self._group.join()
        try:
            tree.__enter__()
        finally:
            for path in before:
                (path / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield tree
        finally:
            tree.__exit__(None, None, None)


@pytest.fixture
def little() -> Iterator[Little]:
    groups = make_run_groups(f"memory-{os.getpid()}")
    below = groups.below("tree", 1)
    group = Cgroup(below)
    group.make(memory_max=ALL_MEMORY)
    # The tree is no agent, which the kernel is to end as a whole.
    for path in below.paths:
        with contextlib.suppress(OSError):
            (path / "memory.oom.group").write_text("0")
    try:
        if "memory" not in group.held:
            pytest.skip("no group of processes can be given little memory here: neither v2's memory controller nor a v1 one is ours")
        yield Little(group, below.paths)
    finally:
        groups.remove()


def program(agent: str, script: str, user: str = 'user = "nobody"') -> str:
    return f"""
[agents.{agent}]
type = "process_wrapper"
command = "{PYTHON}"
args = {json.dumps(["-SE", "-c", script])}
cwd = "/tmp"
restart = "temporary"
{user}
stop = {{ cancel = 0, sigint = 0, sigterm = 0.5 }}
"""


NATIVE = '[agents.eats]\ntype = "native_llm"\nfactory = "hungry_agents:Eats"\nrestart = "temporary"\n'
OTHER = program("other", "import time; time.sleep(1000)")


def ours(status: dict[str, Any]) -> dict[str, int]:
    """The processes that must outlive it: of the tree, its supervisors, and the agent that takes nothing."""
    (other,) = (row for row in status["agents"] if row["id"] == "other")
    supervisors = {row["id"]: row["actor_pid"] for row in status["supervisors"]}
    return {**status["pids"], **supervisors, "other": other["pid"], "its actor": other["actor_pid"]}


KINDS = {
    "a program of another user": program("eats", EATS),
    "a program of our own user": program("eats", EATS, user=""),
    "a child of a program": program("eats", EATS_AS_ITS_CHILD),
    "sixty small processes": program("eats", EATS_IN_MANY),
    "one that asks the kernel to be spared": program("eats", WOULD_BE_SPARED),
    "a native agent": NATIVE,
}


def may_raise_limits() -> bool:
    """Whether root has CAP_SYS_RESOURCE here: without it, what root has set for a process may be taken back to what was before."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) & 1 << 24)


@pytest.mark.parametrize("kind", KINDS)
def test_when_memory_runs_out_the_agent_that_takes_it_is_ended_and_nothing_of_ours(little: Little, kind: str) -> None:
    with little.tree(OTHER + KINDS[kind], [AGENTS]) as tree:
        before = ours(tree.status())
        assert len(before) >= 9
        scores = {name: int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for name, pid in before.items() if name != "other"}
        assert {int(Path("/proc/self/oom_score_adj").read_text())} == {*scores.values()}, scores
        if kind == "sixty small processes":
            # Those that are left have room again: the kernel takes as many as it must.
            poll_until(lambda: little.kills() >= 4, WITHIN, little.kills)
        else:
            status = tree.wait_until(lambda s: all(row["last_exit"] for row in s["agents"] if row["id"] == "eats"), WITHIN)
            how = next(row["last_exit"] for row in status["agents"] if row["id"] == "eats")
            assert ("crash", True) == (how["class"], "SIGKILL" in how["reason"]) or kind == "a child of a program", how
        assert little.kills() >= 1
        after = tree.status()
        assert before == ours(after)
        assert all(psutil.Process(pid).is_running() for pid in before.values())
        if kind == "one that asks the kernel to be spared":
            lines = tree.ask(lambda client: client.log_lines("eats"))
            refused = [line.split(" out ", 1)[1] for line in lines if "is refused" in line]
            assert ["is refused -1000", "is refused 0"][: 2 if may_raise_limits() else 1] == refused
        if kind == "sixty small processes":
            # They hold nearly all memory: what begins now may be ended for it.
            tree.ask(lambda client: client.stop("eats"))
        # It repairs what ends next, as ever.
        tree.ask(lambda client: client.restart("other"))
        tree.wait_until(lambda s: any(row["id"] == "other" and row["incarnation"] == 2 and row["pid"] for row in s["agents"]), WITHIN)


def test_what_is_in_force_is_that_agents_are_taken_first(little: Little) -> None:
    with little.tree(OTHER, []) as tree:
        own = int(Path("/proc/self/oom_score_adj").read_text())
        pids = {process.pid: int(Path(f"/proc/{process.pid}/oom_score_adj").read_text()) for process in tree.processes()}
        agent = tree.agent("other")["pid"]
        assert {agent: min(1000, own + OOM_SCORE_OF_AGENTS)} == {pid: score for pid, score in pids.items() if score != own}
        assert pids.keys() <= little.pids()
        assert os.getpid() not in little.pids()
