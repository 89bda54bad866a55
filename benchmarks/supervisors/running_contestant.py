"""A contestant that runs, and what its programs report."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import psutil

from suptree.actors.kernel.linux import become_subreaper

from .contestants import Contestant, compiled

LONGEST = 120.0
"""Seconds for which a report is waited for."""
_ENDS_WITHIN = 20.0


class TooLate(Exception):
    """A report did not come in time."""


class Report(NamedTuple):
    """A program runs: its number, its pid, and when it began, in nanoseconds of CLOCK_MONOTONIC."""

    number: int
    pid: int
    at: int


class Running:
    """A contestant with `count` programs, in a folder of its own; use it with `with`. Nothing of it is left afterwards."""

    def __init__(self, contestant: Contestant, count: int, *, stubborn: bool = False) -> None:
        self.count = count
        self.pids: dict[int, int] = {}
        """By number, the pid of each program's last report."""
        become_subreaper()
        self._folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.program = compiled("program.c", self._folder)
        self._reports = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._reports.bind(str(self._folder / "reports"))
        self._reports.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        # A number becomes the last argument, and what makes a program stubborn comes after the number: so a script stands between.
        command = [self.program, str(self._folder / "reports")]
        if stubborn:
            script = self._folder / "stubborn"
            script.write_text(f'#!/bin/sh\nexec {" ".join(command)} "$1" stubborn\n')
            script.chmod(0o755)
            command = [str(script)]
        launch = contestant.prepare(self._folder, count, command)
        self._output = (self._folder / "output").open("wb")
        self.began = time.monotonic_ns()
        self.manager = subprocess.Popen(
            launch.command,
            env={**os.environ, **launch.environment},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        deadline = time.monotonic() + _ENDS_WITHIN
        # All that was below it is below us by now, or becomes so when what is above has ended.
        while below := psutil.Process().children(recursive=True):
            for process in below:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(below, timeout=1)
            if time.monotonic() > deadline:
                raise TooLate(f"{len(below)} processes do not end")
        self.manager.wait()
        self._output.close()
        self._reports.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def report(self, limit: float = LONGEST) -> Report:
        """The next report. Raises TooLate."""
        self._reports.settimeout(limit)
        try:
            number, pid, at = map(int, self._reports.recv(128).split())
        except TimeoutError:
            said = (self._folder / "output").read_text(errors="replace")[-2000:]
            raise TooLate(f"no program has started for {limit:g} s; the contestant said: {said}") from None
        self.pids[number] = pid
        return Report(number, pid, at)

    def all_reports(self, of: int | None = None) -> int:
        """Wait until so many programs have reported, each once; return when the last began. Raises TooLate."""
        last, seen = 0, set[int]()
        while len(seen) < (self.count if of is None else of):
            report = self.report()
            seen.add(report.number)
            last = max(last, report.at)
        return last

    def kill(self, number: int) -> int:
        """SIGKILL a program; return when, in nanoseconds."""
        at = time.monotonic_ns()
        os.kill(self.pids[number], signal.SIGKILL)
        return at

    def copies(self, of: int | None = None) -> set[int]:
        """The pids of all that run the program, descendants of programs too; only those of one number when that is given."""
        found = set()
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                # A fork keeps the arguments.
                if self._runs_program(process) and (of is None or process.cmdline()[2] == str(of)):
                    found.add(process.pid)
        return found

    def side(self) -> list[psutil.Process]:
        """Every process of the contestant itself."""
        return [process for process in psutil.Process().children(recursive=True) if not self._runs_program(process)]

    def _runs_program(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error, OSError):
            return process.status() != psutil.STATUS_ZOMBIE and process.exe() == self.program
        return False
