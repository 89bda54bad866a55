"""Agents of another user that would eat the machine: processes, CPUs, memory; by control group, and without."""

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from suptree.actors.kernel.cgroup import OFF_VARIABLE, Cgroup, make_run_groups
from suptree.actors.kernel.linux import OOM_SCORE_OF_AGENTS, with_descendants
from suptree.testing import LiveTree, kill
from tests.polling import poll_until

from .other_user import PYTHON, needs_root

WITHIN = 60.0
AGENTS = str(Path(__file__).parent / "agents")
pytestmark = needs_root

STARVES = """
import os, sys, time
assert os.getuid() != 0
most, made, refused = int(sys.argv[1]), 0, 0
while made < most and refused < 1000:
    try:
        if os.fork() == 0:
            time.sleep(1000)
    except OSError:
        refused += 1
        time.sleep(0.01)
    else:
        made += 1
print("made", made, flush=True)
time.sleep(1000)
"""
SPINS = """
import os
os.fork()
while True: pass
"""
SLEEPS = "import time; time.sleep(1000)"


def table(agent: str, program: str, more: str = "", *arguments: str) -> str:
    return f"""
[agents.{agent}]
type = "process_wrapper"
command = "{PYTHON}"
args = {json.dumps(["-SE", "-c", program, *arguments])}
cwd = "/tmp"
restart = "temporary"
user = "nobody"
stop = {{ cancel = 0, sigint = 0, sigterm = 0.5 }}
{more}
"""


@pytest.fixture(params=["auto", "off"])
def groups(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> frozenset[str]:
    """What control groups hold here."""
    monkeypatch.setenv(OFF_VARIABLE, request.param)
    made = make_run_groups(f"probe-{os.getpid()}")
    try:
        cgroup = Cgroup(made.below("probe", 1))
        cgroup.make(64 * 1024 * 1024, 100, 1.0)
        return cgroup.held
    finally:
        made.remove()


def pid_of(status: dict[str, object], agent: str) -> int:
    (pid,) = (row["pid"] for row in status["agents"] if row["id"] == agent)  # type: ignore[attr-defined]  # JSON
    assert isinstance(pid, int)
    return pid


def children_of_it(pid: int, at_least: int) -> int:
    """How many processes a program has below it, once there are so many."""
    program = psutil.Process(pid)
    return poll_until(lambda: found if (found := len(program.children(recursive=True))) >= at_least else 0, WITHIN, f"{at_least} processes")


def limit_of(pid: int) -> list[str]:
    """The limits of processes of its user, soft and hard."""
    (line,) = (line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max processes"))
    return line.split()[2:4]


OTHER = '[agents.other]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000000"]\nstop = { sigint = 1 }\n'


def test_an_agent_that_forks_without_end_is_bounded_and_the_tree_repairs_others_meanwhile(groups: frozenset[str]) -> None:
    with LiveTree(table("forks", STARVES, "limits = { pids_max = 20 }", "200") + OTHER) as tree:
        status = tree.wait_until(lambda s: all(row["status"] == "running" for row in s["agents"]), WITHIN)
        # With a group it is bounded alone, else with all that its user has.
        least = 19 if "pids" in groups else 10
        found = children_of_it(pid_of(status, "forks"), least)
        kill(pid_of(status, "other"))
        tree.wait_until(lambda s: s["agents"][1]["incarnation"] == 2 and s["agents"][1]["status"] == "running", WITHIN)
        assert least <= found <= 19
        assert (limit_of(pid_of(status, "forks")) == limit_of(os.getpid())) is ("pids" in groups)


def test_where_the_kernel_bounds_it_in_no_way_it_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root has no RLIMIT_NPROC."""
    monkeypatch.setenv(OFF_VARIABLE, "off")
    as_root = table("forks", STARVES.replace("assert", "#"), "limits = { pids_max = 20 }", "100").replace('user = "nobody"', "")
    with LiveTree(as_root) as tree:
        how = tree.wait_until(lambda s: s["agents"][0]["last_exit"] is not None, WITHIN)["agents"][0]["last_exit"]
        assert ("budget", True) == (how["class"], "more than its pids_max of 20" in how["reason"])


# A child of a child, whose parent has ended: the kernel makes it a child of the agent's actor.
LEAVES = """
import os, time
if os.fork() == 0:
    if os.fork():
        os._exit(0)
    os.setsid()
    EATS
    time.sleep(1000)
time.sleep(1000)
"""


@pytest.mark.parametrize(
    ("eats", "limit", "why"),
    [
        ("eaten = bytearray(b'x') * 200_000_000", 'memory_max = "100M"', "more than its memory_max of 100 MiB"),
        ("[os.fork() for _ in range(6)]", "pids_max = 20", "more than its pids_max of 20"),
    ],
)
def test_what_an_agent_has_left_behind_counts_where_no_group_holds_it(
    monkeypatch: pytest.MonkeyPatch, eats: str, limit: str, why: str
) -> None:
    monkeypatch.setenv(OFF_VARIABLE, "off")
    user = 'user = "nobody"\n' if "memory" in limit else ""
    with LiveTree(table("leaves", LEAVES.replace("EATS", eats), f"limits = {{ {limit} }}").replace('user = "nobody"\n', user)) as tree:
        how = tree.wait_until(lambda s: s["agents"][0]["last_exit"] is not None, WITHIN)["agents"][0]["last_exit"]
        assert ("budget", True) == (how["class"], why in how["reason"]), how


DEEP = """
import os, sys, time
for _ in range(100):
    if os.fork():
        time.sleep(1000)
os.setsid()
print(os.getpgid(os.getppid()), flush=True)
time.sleep(1000)
"""


def test_processes_that_stand_deeper_than_our_stack_may_be_are_looked_at_as_any_other() -> None:
    """Once it was its actor that ended of them: Python's limit is 1000 calls."""
    with subprocess.Popen([PYTHON, "-SE", "-c", DEEP], stdout=subprocess.PIPE, start_new_session=True) as top:
        assert top.stdout is not None
        assert f"{top.pid}\n".encode() == top.stdout.readline()
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(len(inspect.stack(0)) + 60)
        try:
            found = with_descendants(top.pid)
        finally:
            sys.setrecursionlimit(before)
            os.kill(found[-1], signal.SIGKILL)
            os.killpg(top.pid, signal.SIGKILL)
    assert 101 == len({*found})


def test_an_agent_that_burns_every_core_gets_what_its_table_allows(groups: frozenset[str]) -> None:
    with LiveTree(table("spins", SPINS, "limits = { cpu_max = 0.2 }")) as tree:
        program = psutil.Process(pid_of(tree.wait_until_all_run(WITHIN), "spins"))
        if "cpu" not in groups:
            # The tests themselves may have been made nice: there is a limit of that.
            assert min(19, psutil.Process().nice() + 10) == program.nice()
            return
        both = [program, *poll_until(program.children, WITHIN, "its child")]
        before, began = sum(sum(one.cpu_times()[:2]) for one in both), time.monotonic()
        time.sleep(3.0)
        used = sum(sum(one.cpu_times()[:2]) for one in both) - before
        assert 0.0 < used / (time.monotonic() - began) < 0.4


def test_when_memory_runs_out_the_kernel_takes_agents_before_anything_of_ours(tmp_path: Path) -> None:
    native = '[agents.native]\ntype = "native_llm"\nfactory = "writing_agents:Writes"\nconfig = { folder = "FOLDER" }\n'
    hook = 'hooks = { pre_stop = ["sh", "-c", "cat /proc/self/oom_score_adj"] }'
    with LiveTree(table("program", SLEEPS, hook) + native.replace("FOLDER", str(tmp_path)), sys_path=[AGENTS]) as tree:
        status = tree.wait_until_all_run(WITHIN)
        agents = {pid_of(status, "program"), *(row["actor_pid"] for row in status["agents"] if row["id"] == "native")}
        scores = {process.pid: int(Path(f"/proc/{process.pid}/oom_score_adj").read_text()) for process in tree.processes()}
        own = int(Path("/proc/self/oom_score_adj").read_text())
        expected = min(1000, own + OOM_SCORE_OF_AGENTS)
        assert agents == {pid for pid, score in scores.items() if score == expected}
        assert {own} == {score for pid, score in scores.items() if pid not in agents}
        assert len(scores) > len(agents) + 4
        tree.ask(lambda client: client.stop("program"))
        assert [f"{expected}"] == [line.rsplit(" ", 1)[1] for line in tree.ask(lambda client: client.log_lines("program"))]
