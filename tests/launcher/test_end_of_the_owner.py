"""A tree ends with the program that owns it, even when the launcher's log is gone or full, and whatever fails in the launcher itself."""

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from suptree.actors.agent.environment import launcher_environment
from suptree.control.launcher.handed_over import hand_over
from suptree.control.launcher.launch_spec import LaunchSpec
from suptree.control.trees.leftovers import processes_of
from suptree.control.trees.standing import RUN_VARIABLE
from suptree.testing import LiveTree

from ..full_disk import fill, needs_root, small_disk

OWNER = """
import asyncio, sys
from suptree.control import ProcessManager

async def main():
    manager = ProcessManager(state_dir=sys.argv[1])
    for each in ("a", "b"):
        assert await manager.start_agent(each, "process_wrapper", {"command": "sleep", "args": ["1000000"]})
    print("ready", flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""

START = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:], close_fds=False))"

LAUNCHER = """
import os, sys
from suptree.control.launcher import launcher

{broken}
sys.argv[1] = sys.argv[1].replace('"owner_pid": 0', f'"owner_pid": {{os.getppid()}}')
sys.exit(launcher.main())
"""

BREAK = {
    "nothing": "",
    "the watch for the owner": """
async def fails(self):
    await self.link.ready.wait()
    raise OSError("this fails on purpose")
launcher.Launcher._owner_gone = fails
""",
    "the announcement": """
announce = launcher.Launcher._announce
async def fails(self):
    await announce(self)
    raise OSError("this fails on purpose")
launcher.Launcher._announce = fails
""",
}

WITHIN = 20.0


def run_of(state: Path) -> str:
    return str(json.loads((state / "run.json").read_text())["run_id"])


@needs_root
def test_the_owner_is_killed_while_the_disk_is_full_and_nothing_is_left(tmp_path: Path) -> None:
    with small_disk(tmp_path) as disk:
        owner = subprocess.Popen([sys.executable, "-c", OWNER, disk], stdout=subprocess.PIPE, text=True)
        assert owner.stdout is not None
        with owner, owner.stdout:
            assert "ready\n" == owner.stdout.readline()
            run_id = run_of(disk / "trees" / "embedded")
            fill(disk)

            owner.kill()
            owner.wait(10)

        expect_gone(run_id)


def expect_gone(run_id: str) -> None:
    """Raise unless every process of a run is gone in time; end what is left."""
    tree = LiveTree.__new__(LiveTree)
    tree.run_ids = [run_id]
    try:
        tree.expect_nothing_left(WITHIN)
    finally:
        for process in processes_of(run_id):
            process.kill()


@contextlib.contextmanager
def owned_launcher(tmp_path: Path, redirection: str, broken: str = "nothing") -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The owner of a launcher with one part of it broken, and the run id; the tree is ready when the block begins.

    The owner ends with the launcher, and with its exit status.
    """
    tree_file = tmp_path / "tree.toml"
    tree_file.write_text('[tree]\nname = "t"\n[agents.a]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000000"]\n')
    ready_end, launcher_end = os.pipe()
    launch = LaunchSpec(name="t", file=str(tree_file), owner_pid=0, ready_fd=launcher_end)
    launcher = (sys.executable, "-P", "-c", LAUNCHER.format(broken=BREAK[broken]))
    given = hand_over(os.environ)
    owner = subprocess.Popen(
        [sys.executable, "-c", START, "sh", "-c", f'exec "$0" "$@" {redirection}', *launcher, launch.to_json()],
        stdin=given,
        env={**launcher_environment(os.environ), RUN_VARIABLE: launch.run_id, "SUPTREE_HOME": str(tmp_path)},
        pass_fds=[launcher_end],
    )
    for descriptor in (launcher_end, given):
        os.close(descriptor)
    try:
        assert [ready_end] == select.select([ready_end], [], [], 60)[0]
        assert b'{"ready": true' == os.read(ready_end, 14)
        yield owner, launch.run_id
    finally:
        os.close(ready_end)
        owner.kill()
        owner.wait(10)
        expect_gone(launch.run_id)


@pytest.mark.parametrize("redirection", ["2>&-", "1>&- 2>&-", ">/dev/full 2>&1"])
def test_the_owner_is_killed_while_the_launcher_cannot_log_and_nothing_is_left(tmp_path: Path, redirection: str) -> None:
    with owned_launcher(tmp_path, redirection) as (owner, run_id):
        owner.kill()
        expect_gone(run_id)


@pytest.mark.parametrize("broken", [part for part in BREAK if part != "nothing"])
def test_an_error_in_the_launcher_is_logged_and_ends_the_tree_in_order(tmp_path: Path, broken: str) -> None:
    log = tmp_path / "log"

    with owned_launcher(tmp_path, f"2>{log}", broken) as (owner, run_id):
        assert 1 == owner.wait(60)
        expect_gone(run_id)

    entries = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    failed = next(entry for entry in entries if entry["event"] == "launcher_failed")
    assert "this fails on purpose" in failed["exception"]
    story = next(entry["story"] for entry in entries if entry["event"] == "tree_gave_up")
    assert any("a #1 exited: shutdown" in sentence for sentence in story)
