"""Giving commands as a person does, each with an environment of its own, and proving that nothing is left."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from suptree.control.trees.standing import RUN_VARIABLE
from tests.polling import poll_until

SUPTREE = str(Path(sys.executable).parent / "suptree")
LIMIT = 60.0
SLEEPER = """
[tree]
name = "t"
[agents.a]
type = "process_wrapper"
command = "sleep"
args = ["1000"]
"""


class Place:
    """A home, a runtime folder and a tree file of their own; use it with `with`."""

    def __init__(self, folders: pytest.TempPathFactory, tree: str = SLEEPER) -> None:
        # Short: there are sockets below it.
        self.folder = folders.mktemp("st")
        self.home, self.runtime = self.folder / "home", self.folder / "run"
        self.runtime.mkdir(mode=0o700)
        self.file = self.folder / "t.toml"
        self.file.write_text(tree, encoding="utf-8")
        self.environment = {
            **os.environ,
            "SUPTREE_HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "ST_PLACE": str(self.folder),
        }

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_exc: object) -> None:
        for process in (ours := self.processes()):
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(ours, timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def suptree(self, *arguments: str, before: tuple[str, ...] = (), **environment: str | None) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end; a variable that is None is left out."""
        chosen = {name: value for name, value in {**self.environment, **environment}.items() if value is not None}
        with tempfile.TemporaryFile("w+") as said:
            ended = subprocess.run(
                [*before, SUPTREE, *arguments], env=chosen, stdout=said, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False
            )
            said.seek(0)
            return subprocess.CompletedProcess(arguments, ended.returncode, said.read())

    def up(self, *, before: tuple[str, ...] = (), **environment: str | None) -> dict[str, Any]:
        """Bring the tree up in the background; the run file's content."""
        done = self.suptree("up", str(self.file), "-d", before=before, **environment)
        assert 0 == done.returncode, done.stdout
        return self.run

    def status(self) -> dict[str, Any]:
        done = self.suptree("status", "--json")
        assert 0 == done.returncode, done.stdout
        return dict(json.loads(done.stdout))

    @property
    def state(self) -> Path:
        return self.home / "trees" / "t"

    @property
    def run(self) -> dict[str, Any]:
        return dict(json.loads((self.state / "run.json").read_text(encoding="utf-8")))

    def log(self) -> list[str]:
        """The names of what the launcher and the actors have logged."""
        lines = (self.state / "launcher.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["event"] for line in lines if line.startswith("{")]

    def processes(self) -> list[psutil.Process]:
        """Everything that was started under this place."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                environment = process.environ()
                if process.pid != os.getpid() and str(self.home) in (environment.get("SUPTREE_HOME"), environment.get("ST_HOME")):
                    found.append(process)
        return found

    def expect_down(self) -> None:
        """End the tree, and see that nothing is left of it."""
        done = self.suptree("down")
        assert (0, "t: 0 processes left") == (done.returncode, done.stdout.splitlines()[-1])
        poll_until(lambda: not self.processes(), LIMIT)


@contextlib.contextmanager
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is none of ours."""
    process = subprocess.Popen(["sleep", "9999"], env={"PATH": os.environ["PATH"]})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def token_of(process: "psutil.Process | subprocess.Popen[bytes]") -> str | None:
    return psutil.Process(process.pid).environ().get(RUN_VARIABLE)


def send(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)
