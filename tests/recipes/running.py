"""A program of the page while it runs, and the proof that nothing of it is left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.polling import poll_until

SUBREAPER = Path(__file__).with_name("subreaper.py")
BIN = Path(sys.executable).parent


class Program:
    """A program that was started in a folder, with the same home as others that were started there."""

    def __init__(self, folder: Path, *argv: str) -> None:
        self._output = folder / f"{Path(argv[0]).name}.output"
        self._report = folder / f"{Path(argv[0]).name}.report"
        # Of this environment the page may rely on PATH alone.
        environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder), "SUPTREE_HOME": str(folder / "home"), "LANG": "C.UTF-8"}
        with self._output.open("wb") as output:
            self._watcher = subprocess.Popen(
                [sys.executable, str(SUBREAPER), str(self._report), *argv], cwd=folder, env=environment, stdout=output, stderr=output
            )
        self.pid = poll_until(self._children)[0].pid

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def end(self, number: int = signal.SIGTERM, *, group: bool = False) -> None:
        """Signal it, or its whole process group as Ctrl-C in a terminal does."""
        (os.killpg if group else os.kill)(self.pid, number)

    def ended(self, within: float = 60) -> tuple[int, list[str]]:
        """Its exit status, and the command lines of the processes that were left."""
        self._watcher.wait(within)
        status, left = json.loads(self._report.read_text())
        return status, left

    def end_by_force(self) -> None:
        """End it and all below it, when a test has failed."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._watcher.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self._watcher.wait(30)

    def _children(self) -> list[psutil.Process]:
        return psutil.Process(self._watcher.pid).children()


@contextlib.contextmanager
def program(folder: Path, *argv: str) -> Iterator[Program]:
    """A program that runs; the block ends it, and then sees that nothing is left."""
    running = Program(folder, *argv)
    try:
        yield running
    except BaseException:
        print(running.output)
        raise
    finally:
        running.end_by_force()


def get(port: int, path: str) -> Any:
    """The JSON that a server of this machine answers with."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as response:
        return json.load(response)


def first_answer(port: int, path: str) -> Any:
    """The JSON that a server answers with as soon as it listens."""

    def look() -> Any:
        with contextlib.suppress(urllib.error.URLError):
            return get(port, path)
        return None

    return poll_until(look, within=40)


def killed_and_restarted(clock: Callable[[], list[Any]]) -> None:
    """Kill the agent that `clock` says the status, pid and incarnation of, and see it restarted."""
    status, pid, incarnation = clock()[:3]
    assert ("running", 1) == (status, incarnation)
    os.kill(pid, signal.SIGKILL)

    def is_back() -> bool:
        status, later, incarnation = clock()[:3]
        return (status, incarnation) == ("running", 2) and later not in (None, pid)

    poll_until(is_back, what=clock)
