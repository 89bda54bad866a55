"""What this machine offers a tree, and what that means."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import version
from pathlib import Path

from suptree.actors.errors import SuptreeError
from suptree.actors.kernel.cgroup import OFF_VARIABLE, Cgroup, Groups, make_run_groups, run_groups
from suptree.actors.kernel.linux import go_first_when_memory_runs_out
from suptree.actors.kernel.loopback import fault_of_loopback
from suptree.actors.kernel.private_files import remove_if_empty
from suptree.actors.kernel.trusted_folder import make_own

from .find import running_trees
from .paths import TreePaths, home
from .standing import Running

_DESCRIPTORS_FOR_A_TREE = 4096
_SOMEBODY = 65534
_ENOUGH_MEMORY = 64 * 1024 * 1024
_ENOUGH_PROCESSES = 1000
_WITHOUT_MEMORY = "an agent without it can take all memory of the machine"


class State(Enum):
    """How well a feature is served."""

    OK = "ok"
    LIMITED = "limited"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One feature: `found` says what is there, `means` what follows from it."""

    feature: str
    state: State
    found: str
    means: str


def examine() -> list[Finding]:
    """Look at everything that a tree depends on; each is tried, not guessed. And at what the trees that run have of it."""
    findings = [look() for look in _LOOKS]
    if all(finding.state is not State.MISSING for finding in findings):
        findings += [_in_force(tree) for tree in running_trees()]
    return findings


def _python() -> Finding:
    words = f"Python {sys.version.split()[0]}, Thespian {version('thespian')}"
    return Finding("versions", State.OK, words, "supported: Python 3.11 and later")


def _pidfd() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        return Finding("pidfds", State.MISSING, str(error), "no tree can run: Linux 5.4 or later is needed")
    return Finding("pidfds", State.OK, f"Linux {os.uname().release}", "every death is known immediately, without polling")


def _cgroups() -> Finding:
    if os.environ.get(OFF_VARIABLE) == "off":
        return Finding("control groups", State.LIMITED, f"{OFF_VARIABLE}=off", _SWEEP)
    with _probe() as groups:
        if groups.unified is None:
            return Finding("control groups", State.LIMITED, "no cgroup v2 hierarchy that we may write to", _SWEEP)
        kills = Path(groups.unified, "cgroup.kill").exists()
        where = str(Path(groups.unified).parent)
    if not kills:
        return Finding("control groups", State.LIMITED, f"cgroup v2 at {where}, without cgroup.kill", _SWEEP)
    found = f"cgroup v2 at {where}, with cgroup.kill"
    return Finding("control groups", State.OK, found, "all that a program started is ended together, however it forks")


def _memory() -> Finding:
    with _probe() as groups:
        cgroup = Cgroup(groups.below("probe", 1))
        cgroup.make(_ENOUGH_MEMORY)
        by_kernel = "memory" in cgroup.held
        hierarchy = "v2" if groups.unified and Path(groups.unified, "memory.max").exists() else "v1"
    if by_kernel:
        found = f"the memory controller of cgroup {hierarchy}"
        means = f"the kernel holds memory_max, and counts OOM kills; {_WITHOUT_MEMORY}"
        return Finding("memory limits", State.OK, found, means)
    means = f"memory_max is checked every second; an OOM kill looks like any SIGKILL; {_WITHOUT_MEMORY}"
    return Finding("memory limits", State.LIMITED, "no memory controller that we may use", means)


def _processes() -> Finding:
    with _probe() as groups:
        cgroup = Cgroup(groups.below("probe", 1))
        cgroup.make(pids_max=_ENOUGH_PROCESSES)
        by_kernel = "pids" in cgroup.held
    without = "an agent without it can take every process number of the machine, and then no tree can repair anything"
    if by_kernel:
        return Finding("process limits", State.OK, "the pids controller", f"the kernel holds pids_max; {without}")
    means = f"pids_max is checked every second, and is a limit of its user (RLIMIT_NPROC) unless that is root; {without}"
    return Finding("process limits", State.LIMITED, "no pids controller that we may use", means)


def _cpu() -> Finding:
    with _probe() as groups:
        cgroup = Cgroup(groups.below("probe", 1))
        cgroup.make(cpu_max=1.0)
        by_kernel = "cpu" in cgroup.held
    without = "agents without it can slow the whole machine down, with the tree's own processes"
    if by_kernel:
        return Finding("CPU limits", State.OK, "the cpu controller", f"the kernel holds cpu_max; {without}")
    return Finding("CPU limits", State.LIMITED, "no cpu controller that we may use", f"cpu_max only makes its agent nicer; {without}")


def _who_goes_first() -> Finding:
    try:
        done = subprocess.run(
            ["/bin/cat", "/proc/self/oom_score_adj"], preexec_fn=go_first_when_memory_runs_out, capture_output=True, text=True, check=True
        )
        raised = int(done.stdout) > int(Path("/proc/self/oom_score_adj").read_text(encoding="ascii"))
    except (OSError, ValueError, subprocess.SubprocessError):
        raised = False
    if raised:
        return Finding("OOM killer", State.OK, "oom_score_adj can be raised", "when memory runs out the kernel ends agents first")
    means = "when memory runs out the kernel may end the tree's own processes before its agents"
    return Finding("OOM killer", State.LIMITED, "oom_score_adj cannot be raised", means)


def _descriptors() -> Finding:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < _DESCRIPTORS_FOR_A_TREE:
        means = f"a supervisor of N children needs 3 N: raise the hard limit to {_DESCRIPTORS_FOR_A_TREE}"
        return Finding("open files", State.LIMITED, f"at most {hard} a process", means)
    return Finding("open files", State.OK, f"at most {hard} a process", "enough for a supervisor of a thousand children")


def _folders() -> Finding:
    try:
        make_own(home())
        with tempfile.TemporaryDirectory(prefix="doctor-", dir=home()) as folder:
            paths = TreePaths.of("doctor", Path(folder))
            paths.make()
            remove_if_empty(paths.runtime)
    except (SuptreeError, OSError) as error:
        return Finding("folders", State.MISSING, str(error), "no tree can run")
    return Finding("folders", State.OK, f"state in {home()}, sockets in {paths.runtime.parent}", "both belong to this user alone")


def _loopback() -> Finding:
    if fault := fault_of_loopback():
        return Finding("loopback", State.MISSING, fault, "no tree can run")
    return Finding("loopback", State.OK, "carries what is sent to it", "the processes of a tree can talk")


def _terminals() -> Finding:
    try:
        for descriptor in os.openpty():
            os.close(descriptor)
    except OSError as error:
        return Finding("pseudo-terminals", State.LIMITED, str(error), 'agents with stdin = "pty" cannot start')
    return Finding("pseudo-terminals", State.OK, "can be opened", 'agents may have stdin = "pty"')


def _users() -> Finding:
    if os.geteuid() != 0:
        return Finding("other users", State.LIMITED, f"we are user {os.geteuid()}, not root", 'agents with user = "…" cannot start')
    try:
        subprocess.run(["/bin/true"], user=_SOMEBODY, group=_SOMEBODY, extra_groups=[], check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(
            "other users", State.LIMITED, f"root, but may not change to another user: {error}", 'agents with user = "…" cannot start'
        )
    return Finding("other users", State.OK, "root, and may change to another user", 'agents may have user = "…"')


def _in_force(tree: Running) -> Finding:
    paths = tree.paths
    if run_groups(tree.run_id).exist:
        return Finding(f"tree {paths.name}", State.OK, "runs, with control groups", "its programs are ended by group, then swept")
    return Finding(f"tree {paths.name}", State.LIMITED, "runs, without control groups", _SWEEP)


class _probe:  # noqa: N801  (used like a function)
    """Groups that are made for a look, and are gone afterwards."""

    def __enter__(self) -> Groups:
        self._groups = make_run_groups(f"doctor-{os.getpid()}")
        return self._groups

    def __exit__(self, *_exc: object) -> None:
        self._groups.remove()


_SWEEP = "what a program left behind is found among the descendants, and ended one by one"
_LOOKS: tuple[Callable[[], Finding], ...] = (
    _python, _pidfd, _cgroups, _memory, _processes, _cpu, _who_goes_first, _descriptors, _folders, _loopback, _terminals, _users
)  # fmt: skip
