"""What changes without end in the folders of a tree costs the launcher a look in each pause, and does not keep it from its work."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from suptree.actors.kernel.folder_watch import FolderWatch
from suptree.testing import LiveTree
from tests.polling import poll_until

TREE = '[agents.a]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000000"]\n'
CHANGES = """
import os, sys
print("begins", flush=True)
while os.path.isdir(sys.argv[1]):
    for name in ("x", "y"):
        os.close(os.open(os.path.join(sys.argv[1], name), os.O_CREAT | os.O_WRONLY, 0o600))
        os.unlink(os.path.join(sys.argv[1], name))
"""


@contextlib.contextmanager
def changing(folder: Path) -> Iterator[None]:
    """A process that makes and removes files in a folder as fast as it can."""
    with subprocess.Popen([sys.executable, "-SE", "-c", CHANGES, str(folder)], stdout=subprocess.PIPE, text=True) as changes:
        try:
            assert changes.stdout is not None
            assert "begins\n" == changes.stdout.readline()
            yield
        finally:
            changes.kill()


def test_to_forget_what_was_reported_comes_to_an_end(tmp_path: Path) -> None:
    watch = FolderWatch()
    watch.look_at([tmp_path])
    with changing(tmp_path):
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            began = time.monotonic()
            watch.drain()
            assert time.monotonic() - began < 1.0
    watch.drain()
    with pytest.raises(BlockingIOError):
        os.read(watch.fileno(), 1000)
    watch.close()


@pytest.mark.parametrize("which", ["state", "runtime"])
def test_the_launcher_keeps_its_files_in_place_and_rests(which: str) -> None:
    with LiveTree(TREE) as live:
        live.wait_until_all_run()
        paths = live.launcher.paths
        launcher = psutil.Process(live.launcher.process.pid)
        with changing({"state": paths.state, "runtime": paths.runtime}[which]):
            before, began = sum(launcher.cpu_times()[:2]), time.monotonic()
            paths.run_file.unlink()
            poll_until(paths.run_file.exists, 20.0)
            time.sleep(2.0)
            assert (sum(launcher.cpu_times()[:2]) - before) / (time.monotonic() - began) < 0.3
        assert 1 == live.agent("a")["incarnation"]
