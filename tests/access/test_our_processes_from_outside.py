"""What an agent of another user can do to the processes of the tree, and to agents of a third user: nothing."""

import asyncio
import contextlib
import json
import os
import pwd
import signal
from functools import partial

import psutil
import pytest

from suptree.control.client.client import Client
from suptree.testing import LiveTree

from .other_user import PYTHON, needs_root

WITHIN = 60.0
pytestmark = needs_root

# Of this user nothing else runs: an agent of its is to kill all that it may.
ALONE = next((name for name in ("games", "news", "uucp") if name in {entry.pw_name for entry in pwd.getpwall()}), "")

# Each attempt on each process: a line for whatever was allowed.
TRIES = r"""
import ctypes, json, os, resource, signal, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
def opened(path, flags):
    os.close(os.open(path, flags))
def pidfd_take(pid):
    pidfd = os.pidfd_open(pid)
    if libc.syscall(438, pidfd, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
def read_memory(pid):
    buffer = ctypes.create_string_buffer(8)
    local, remote = Part(ctypes.addressof(buffer), 8), Part(0x400000, 8)
    call("process_vm_readv", pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
ATTEMPTS = {
    "SIGSTOP": lambda pid: os.kill(pid, signal.SIGSTOP),
    "SIGKILL": lambda pid: os.kill(pid, signal.SIGKILL),
    "signal 0": lambda pid: os.kill(pid, 0),
    "signal to its group": lambda pid: os.killpg(os.getpgid(pid), signal.SIGKILL),
    "signal by pidfd": lambda pid: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL),
    "trace": lambda pid: call("ptrace", 16, pid, 0, 0),
    "seize": lambda pid: call("ptrace", 0x4206, pid, 0, 0),
    "read memory": read_memory,
    "take a descriptor": pidfd_take,
    "limit": lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, 1)),
    "read limits": lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE),
    "priority": lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
    "processors": lambda pid: os.sched_setaffinity(pid, {0}),
    "scheduler": lambda pid: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)),
    "group": lambda pid: os.setpgid(pid, os.getpid()),
    "oom_score_adj": lambda pid: opened(f"/proc/{pid}/oom_score_adj", os.O_WRONLY),
    "coredump_filter": lambda pid: opened(f"/proc/{pid}/coredump_filter", os.O_WRONLY),
    "name": lambda pid: opened(f"/proc/{pid}/comm", os.O_WRONLY),
    "enter": lambda pid: os.chdir(f"/proc/{pid}/cwd"),
    "list descriptors": lambda pid: os.listdir(f"/proc/{pid}/fd"),
    "namespace": lambda pid: opened(f"/proc/{pid}/ns/mnt", os.O_RDONLY),
    **{name: (lambda name: lambda pid: opened(f"/proc/{pid}/{name}", os.O_RDONLY))(name)
       for name in ("mem", "environ", "fd/0", "syscall", "stack", "exe")},
}
def maps(pid):
    with open(f"/proc/{pid}/maps") as file:
        if file.read():
            return
    raise OSError
ATTEMPTS["maps"] = maps
allowed = []
for pid in map(int, sys.stdin.readline().split()):
    for name, attempt in ATTEMPTS.items():
        try:
            attempt(pid)
        except OSError:
            continue
        allowed.append((name, pid))
for group in open("/proc/self/cgroup").read().splitlines():
    _, controllers, path = group.split(":", 2)
    for mount in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup", *(f"/sys/fs/cgroup/{one}" for one in controllers.split(","))):
        for file in ("cgroup.procs", "../cgroup.procs", "memory.max", "pids.max", "cpu.max", "memory.limit_in_bytes", "cgroup.kill"):
            try:
                opened(f"{mount}{path}/{file}", os.O_WRONLY)
                allowed.append((file, mount + path))
            except OSError:
                pass
        try:
            os.mkdir(f"{mount}{path}/own")
            allowed.append(("mkdir", mount + path))
        except OSError:
            pass
print("allowed " + json.dumps(allowed), flush=True)
os.kill(-1, signal.SIGKILL)
print("killed what it may", flush=True)
time.sleep(1000)
"""


def table(agent: str, user: str, program: str, more: str = "") -> str:
    return f"""
[agents.{agent}]
type = "process_wrapper"
command = "{PYTHON}"
args = {json.dumps(["-SE", "-c", program])}
cwd = "/"
restart = "temporary"
{user and f'user = "{user}"'}
stop = {{ cancel = 0, sigint = 0, sigterm = 0.5 }}
{more}
"""


async def said(client: Client, agent: str, word: str) -> str:
    """What an agent printed after a word."""
    async with asyncio.timeout(WITHIN), contextlib.aclosing(client.follow_log(agent, 20)) as lines:
        async for line in lines:
            if word in line:
                return line.partition(word)[2]
    raise AssertionError(agent)


@pytest.mark.skipif(not ALONE, reason="no user of this machine has no processes for certain")
def test_an_agent_of_another_user_can_do_nothing_to_our_processes_and_to_those_of_a_third_user() -> None:
    alone = pwd.getpwnam(ALONE).pw_uid
    if any(process.info["uids"].real == alone for process in psutil.process_iter(["uids"]) if process.info["uids"]):
        pytest.skip(f"user {ALONE} has processes here, which would be killed")
    sleeps = "import time; time.sleep(1000)"
    text = (
        table("third", "daemon", sleeps)
        + table("own", "", sleeps)
        + table("tries", ALONE, TRIES, 'stdin = "pipe"\nlimits = { pids_max = 50 }')
    )
    with LiveTree(text) as tree:
        tree.wait_until_all_run(WITHIN)
        own = tree.agent("tries")["pid"]
        before = {
            process.pid: (process.create_time(), process.nice(), process.num_fds()) for process in tree.processes() if process.pid != own
        }
        assert len(before) >= 10
        tree.ask(lambda client: client.tell("tries", " ".join(map(str, before))))
        assert [] == json.loads(tree.ask(partial(said, agent="tries", word="allowed ")))
        # SIGKILL to every process that it may send one to: those of its own user, and not itself.
        tree.ask(partial(said, agent="tries", word="killed what it may"))
        after = {pid: psutil.Process(pid) for pid in before}
        assert {pid: (created, nice) for pid, (created, nice, _) in before.items()} == {
            pid: (process.create_time(), process.nice()) for pid, process in after.items()
        }
        assert [] == [process for process in after.values() if process.status() in ("stopped", "tracing-stop", "zombie")]


TRACES = r"""
import ctypes, os, signal, sys, time
libc = ctypes.CDLL(None, use_errno=True)
for pid in map(int, sys.stdin.readline().split()):
    traced = libc.ptrace(16, pid, 0, 0) == 0
    print("traces " + str(traced), flush=True)
sys.stdin.readline()
os._exit(0)
"""


@pytest.mark.parametrize("how", ["its program is killed", "its actor is killed", "it is stopped"])
def test_an_agent_that_is_traced_when_it_ends_is_fenced_and_holds_nobody_up(how: str) -> None:
    """Its tracer, another agent of its user, never waits for it: so it stays as a zombie, which nobody else can reap."""
    sleeps = "import time; time.sleep(1000)"
    restarts = "[supervisors.root]\nmax_restarts = 100\n" + table("traced", "nobody", sleeps).replace('restart = "temporary"', "")
    text = (
        restarts
        + table("traces", "nobody", TRACES, 'stdin = "pipe"')
        + table("other", "daemon", sleeps).replace('restart = "temporary"', "")
    )
    with LiveTree(text) as tree:
        status = tree.wait_until_all_run(WITHIN)
        traced = tree.agent("traced")
        tree.ask(lambda client: client.tell("traces", str(traced["pid"])))
        if tree.ask(partial(said, agent="traces", word="traces ")) != "True":
            pytest.skip("this kernel lets no process trace another of its user")

        async def end(client: Client) -> None:
            if how == "it is stopped":
                await client.stop("traced")
                return
            os.kill(traced["pid" if how == "its program is killed" else "actor_pid"], signal.SIGKILL)
            async with contextlib.aclosing(client.events()) as events:
                async for event in events:
                    if event["event"] == "agent_started" and (event["id"], event["incarnation"]) == ("traced", 2):
                        return

        async def all_of_it(client: Client) -> None:
            ending = asyncio.ensure_future(end(client))
            async with contextlib.aclosing(client.events()) as events:
                async for event in events:
                    if event["event"] == "agent_unkillable":
                        break
            # Meanwhile others are served, and nobody is busy with it.
            before = cpu_time(tree)
            await client.restart("other")
            os.kill((await client.agent("other"))["pid"], signal.SIGKILL)
            async with contextlib.aclosing(client.events()) as events:
                async for event in events:
                    if event["event"] == "agent_started" and (event["id"], event["incarnation"]) == ("other", 3):
                        break
            await asyncio.sleep(3)
            assert cpu_time(tree) - before < 2.0
            assert not ending.done()
            await client.tell("traces", "let go")
            await ending

        tree.ask(lambda client: asyncio.wait_for(all_of_it(client), WITHIN))
        after = tree.status()
        assert (status["pids"], ["running"]) == (after["pids"], [row["status"] for row in after["supervisors"]])
        expected = ("stopped", 1) if how == "it is stopped" else ("running", 2)
        assert expected == (tree.agent("traced")["status"], tree.agent("traced")["incarnation"])


def cpu_time(tree: LiveTree) -> float:
    """Seconds that the processes of the tree have used."""
    return float(sum(sum(process.cpu_times()[:2]) for process in tree.processes()))
