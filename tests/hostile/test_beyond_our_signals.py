"""A tree of an ordinary user, and a program below it that has become root's: the tree may not signal that program, and lives on."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.polling import poll_until

from ..access.other_user import NOBODY, PYTHON, needs_root

pytestmark = needs_root

SUPTREE = str(Path(sys.executable).parent / "suptree")
# The capability lets it read a virtual environment below a folder that is root's alone; it lets it signal nobody.
AS_NOBODY = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"]
AS_NOBODY += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
# As sudo does: all three user ids are root's from then on, and the kernel forgets whose death would end it.
BECOMES_ROOT = "import os, time; os.setresuid(0, 0, 0); print(os.getpid(), flush=True); time.sleep(1000000)"


@pytest.fixture
def set_user_id(tmp_path: Path) -> Path:
    """A program that may become root."""
    program = tmp_path / "becomes"
    shutil.copy(Path(PYTHON).resolve(), program)
    program.chmod(0o4755)
    return program


class OrdinaryTree:
    """A tree of another user than root."""

    def __init__(self, folder: Path, text: str, enter: Sequence[str] = ()) -> None:
        """`enter` begins each command."""
        self.enter = enter
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        (self.home / "tree.toml").write_text(text)
        for path in (self.home, self.home / "tree.toml"):
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "SUPTREE_HOME": str(self.home / "state"),
            "XDG_RUNTIME_DIR": str(self.home),
        }

    def suptree(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run one command; its output goes to files, for a launcher in the background keeps them open."""
        with (self.home / "out").open("w+") as out:
            done = subprocess.run(
                [*self.enter, *AS_NOBODY, SUPTREE, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.home,
                env=self.environment,
                timeout=100,
                check=False,
            )
            out.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, out.read())

    def status(self) -> dict[str, Any]:
        done = self.suptree("status", "--json")
        assert 0 == done.returncode, done.stdout
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def tree(tmp_path: Path, set_user_id: Path) -> Iterator[OrdinaryTree]:
    yield from tree_of_two(tmp_path, set_user_id)


# The kernel then shows each user the processes of that user alone: for all others, even the folder in /proc is closed.
HIDES = "mount -t proc -o hidepid=1 proc /proc && echo hidden && exec sleep 1000000"


@pytest.fixture
def tree_where_others_are_hidden(tmp_path: Path, set_user_id: Path) -> Iterator[OrdinaryTree]:
    holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", HIDES], stdout=subprocess.PIPE)
    with holder:
        try:
            assert holder.stdout is not None
            enter = ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt"]
            looks = [*enter, *AS_NOBODY, "ls", "/proc/1/task"]
            if holder.stdout.readline() != b"hidden\n" or subprocess.run(looks, capture_output=True, check=False).returncode == 0:
                pytest.skip("no /proc with hidepid=1 can be mounted here")
            yield from tree_of_two(tmp_path, set_user_id, [*enter, f"--wd={tmp_path / 'home'}"])
        finally:
            holder.kill()


def tree_of_two(tmp_path: Path, set_user_id: Path, enter: Sequence[str] = ()) -> Iterator[OrdinaryTree]:
    """Of its agents, `a` has a process that becomes root."""
    forks = f"{set_user_id} -SE -c {json.dumps(BECOMES_ROOT)} & echo $! >root.pid; exec sleep 1000000"
    found = OrdinaryTree(
        tmp_path,
        f"""
[agents.a]
type = "process_wrapper"
command = "sh"
args = ["-c", {json.dumps(forks)}]
stop = {{ cancel = 0, sigint = 0.1, sigterm = 0.1 }}

[agents.b]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
""",
        enter,
    )
    up = found.suptree("up", "tree.toml", "-d")
    assert 0 == up.returncode, up.stdout
    yield found
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int((found.home / "root.pid").read_text())).kill()
    down = found.suptree("down")
    assert (0, True) == (down.returncode, "0 processes left" in down.stdout) or "no tree runs" in down.stdout, down.stdout


@pytest.fixture
def tree_with_hooks(tmp_path: Path, set_user_id: Path) -> Iterator[OrdinaryTree]:
    """One whose agent `a` has a pre-stop hook that becomes root, and `b` a probe that does."""
    script = f"exec {set_user_id} -SE -c {json.dumps(BECOMES_ROOT)}"
    hook, probe = (["sh", "-c", f"echo $$ >{name}.pid; {script}"] for name in ("root", "probe"))
    found = OrdinaryTree(
        tmp_path,
        f"""
[supervisors.root]
max_restarts = 100

[agents.a]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
hooks = {{ pre_stop = {json.dumps(hook)}, timeout = 3 }}
stop = {{ cancel = 0, sigint = 0.1, sigterm = 0.1 }}

[agents.b]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]

[agents.probed]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
liveness_probe = {{ exec = {json.dumps(probe)}, timeout = 3, failure_threshold = 1, initial_delay = 0.5 }}
stop = {{ cancel = 0, sigint = 0.1, sigterm = 0.1 }}
""",
    )
    up = found.suptree("up", "tree.toml", "-d")
    assert 0 == up.returncode, up.stdout
    yield found
    # The probe runs again, as root again.
    down = found.suptree("down")
    assert "processes left" in down.stdout, down.stdout
    for name in ("root.pid", "probe.pid"):
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            process = psutil.Process(int((found.home / name).read_text()))
            process.kill()
            process.wait(30)


def row_of(tree: OrdinaryTree, agent: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in tree.status()["agents"] if row["id"] == agent)
    return found


def test_hooks_and_probes_that_become_root_are_fenced_and_everything_else_goes_on(tree_with_hooks: OrdinaryTree) -> None:
    tree = tree_with_hooks
    before = tree.status()["pids"]
    # The probe takes longer than it may, and cannot be ended: its agent is unhealthy, and does not start again while it is there.
    poll_until(lambda: "unkillable" in (row_of(tree, "probed")["detail"] or ""), 90, tree.status)
    probe = psutil.Process(int((tree.home / "probe.pid").read_text()))
    assert (0, "stopping", 1) == (probe.uids().real, row_of(tree, "probed")["status"], row_of(tree, "probed")["incarnation"])
    with subprocess.Popen(
        [*AS_NOBODY, SUPTREE, "stop", "a"], cwd=tree.home, env=tree.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as stopping:
        poll_until(lambda: "unkillable" in (row_of(tree, "a")["detail"] or ""), 90, tree.status)
        hook = root_process(tree)
        os.kill(row_of(tree, "b")["pid"], 9)
        poll_until(lambda: ("running", 2) == (row_of(tree, "b")["status"], row_of(tree, "b")["incarnation"]), 90, tree.status)
        assert (before, True, True) == (tree.status()["pids"], hook.is_running(), probe.is_running())
        hook.kill()
        assert 0 == stopping.wait(60)
    assert ("stopped", 1) == (row_of(tree, "a")["status"], row_of(tree, "a")["incarnation"])


def root_process(tree: OrdinaryTree) -> psutil.Process:
    """The process of the agent that has become root, once the agent has written its pid."""
    file = tree.home / "root.pid"
    text = poll_until(lambda: file.exists() and file.read_text().strip(), 30)
    process = psutil.Process(int(text))
    poll_until(lambda: process.uids().real == 0, 30)
    return process


def agents(status: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {row["id"]: (row["status"], row["incarnation"]) for row in status["agents"]}


def poll_for(tree: OrdinaryTree, expected: dict[str, tuple[str, int]], word: str = "") -> None:
    def stands() -> bool:
        status = tree.status()
        return agents(status) == expected and word in (status["agents"][0]["detail"] or "")

    poll_until(stands, 60, tree.status)


@pytest.mark.parametrize("how", ["killed", "actor killed"])
def test_a_death_that_leaves_what_we_may_not_signal_is_fenced_and_everything_else_goes_on(tree: OrdinaryTree, how: str) -> None:
    root, before = root_process(tree), tree.status()
    os.kill(before["agents"][0]["pid" if how == "killed" else "actor_pid"], 9)
    poll_for(tree, {"a": ("stopping", 1), "b": ("running", 1)}, "unkillable")
    assert root.is_running()
    assert before["pids"] == tree.status()["pids"]
    # A person ends it; then the next incarnation begins.
    root.kill()
    poll_for(tree, {"a": ("running", 2), "b": ("running", 1)})


def test_nor_does_it_end_the_tree_where_each_user_sees_its_own_processes_alone(tree_where_others_are_hidden: OrdinaryTree) -> None:
    tree = tree_where_others_are_hidden
    root, before = root_process(tree), tree.status()
    os.kill(before["agents"][0]["actor_pid"], 9)
    poll_for(tree, {"a": ("stopping", 1), "b": ("running", 1)}, "unkillable")
    assert (before["pids"], True) == (tree.status()["pids"], root.is_running())
    root.kill()
    poll_for(tree, {"a": ("running", 2), "b": ("running", 1)})


BECOMING = """
import os

class Becomes:
    @classmethod
    async def create(cls, *_arguments):
        return cls()

    async def run(self):
        os.execv({program!r}, [{program!r}, "-SE", "-c", {code!r}])
"""


def test_a_native_agent_that_becomes_root_is_fenced_and_everything_else_goes_on(tmp_path: Path, set_user_id: Path) -> None:
    tree = OrdinaryTree(
        tmp_path,
        """
[agents.a]
type = "native_llm"
factory = "becoming:Becomes"
restart = "temporary"
heartbeat = { interval = 0.2, suspect_after = 0.5, dead_after = 1 }

[agents.b]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
""",
    )
    (tree.home / "becoming.py").write_text(BECOMING.format(program=str(set_user_id), code=BECOMES_ROOT))
    up = tree.suptree("up", "tree.toml", "-d")
    assert 0 == up.returncode, up.stdout
    root = None
    try:
        # It no longer pings, and cannot be killed.
        poll_for(tree, {"a": ("stopping", 1), "b": ("running", 1)}, "unkillable")
        root, before = psutil.Process(row_of(tree, "a")["actor_pid"]), tree.status()["pids"]
        assert 0 == root.uids().real
        os.kill(row_of(tree, "b")["pid"], 9)
        poll_for(tree, {"a": ("stopping", 1), "b": ("running", 2)}, "unkillable")
        assert before == tree.status()["pids"]
        root.kill()
        poll_for(tree, {"a": ("crashed", 1), "b": ("running", 2)})
    finally:
        if root is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                root.kill()
        down = tree.suptree("down")
    assert (0, True) == (down.returncode, "0 processes left" in down.stdout), down.stdout


def test_a_stop_that_cannot_end_everything_waits_and_the_others_are_served_meanwhile(tree: OrdinaryTree) -> None:
    root = root_process(tree)
    with subprocess.Popen(
        [*AS_NOBODY, SUPTREE, "stop", "a"],
        cwd=tree.home,
        env=tree.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as stopping:
        poll_for(tree, {"a": ("stopping", 1), "b": ("running", 1)}, "unkillable")
        assert 0 == tree.suptree("restart", "b").returncode
        os.kill(next(row["pid"] for row in tree.status()["agents"] if row["id"] == "b"), 9)
        poll_for(tree, {"a": ("stopping", 1), "b": ("running", 3)}, "unkillable")
        root.kill()
        assert 0 == stopping.wait(60)
    poll_for(tree, {"a": ("stopped", 1), "b": ("running", 3)})


def test_the_end_of_the_tree_goes_on_without_it_and_says_what_is_left(tree: OrdinaryTree) -> None:
    root = root_process(tree)
    down = tree.suptree("down")
    assert (1, True) == (down.returncode, f"pid {root.pid}: got SIGKILL" in down.stdout), down.stdout
    assert root.is_running()
    assert "suptree: no tree runs: start one with `suptree up FILE`\n" == tree.suptree("status").stdout
