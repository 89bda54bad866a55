"""A real tree for a test: real launcher, real actors, real programs; waits for events, and proves that nothing is left."""

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil

from suptree.actors.errors import NotRunning
from suptree.actors.kernel.private_files import remove_folder
from suptree.control.client.client import Client
from suptree.control.launcher.spawn import LauncherProcess, spawn_launcher
from suptree.control.trees.leftovers import processes_of
from suptree.supervisors.config.tree_file import load_tree

Result = TypeVar("Result")
Status = dict[str, Any]

_SETTLE = 10.0


class LeakedProcesses(AssertionError):
    """Processes of a tree were still there after its end."""


class LiveTree:
    """One run of one tree, under a home of its own; use it with `with`.

    `tree` is the text of a tree file, or the path of one; `listen` (`IP:PORT`) has it listen on TCP too.
    Leaving the block stops the tree, and raises LeakedProcesses if any process is left.
    """

    def __init__(self, tree: str | Path, *, sys_path: list[str] | None = None, listen: str | None = None) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="suptree-test-")
        self.home = Path(self._home.name)
        if isinstance(tree, Path):
            self.file = tree
        else:
            self.file = self.home / "tree.toml"
            self.file.write_text(tree, encoding="utf-8")
        self.name = load_tree(self.file).name
        self._sys_path = [*(sys_path or []), str(self.file.absolute().parent)]
        self._listen = listen
        self.run_ids: list[str] = []
        self.launcher: LauncherProcess

    def __enter__(self) -> "LiveTree":
        try:
            self.up()
        except BaseException:
            self._home.cleanup()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            self.down()
            self.expect_nothing_left()
        finally:
            self.end_by_force()
            # A launcher that was killed has left its sockets there.
            for folder in (self.launcher.paths.runtime, self.launcher.paths.shared):
                remove_folder(folder)
            self._home.cleanup()

    def up(self) -> None:
        """Start the tree (again, after its end) and return when it is ready."""
        self.launcher = asyncio.run(
            spawn_launcher(self.name, file=self.file, listen=self._listen, base=self.home, sys_path=self._sys_path, owner_pid=os.getpid())
        )
        self.run_ids.append(self.launcher.run_id)

    def down(self, limit: float = 60.0) -> int:
        """Stop the tree in order, within `limit` seconds; return the launcher's exit status. Raises TimeoutExpired (subprocess)."""
        with contextlib.suppress(NotRunning):
            self.ask(lambda client: client.shut_down())
        return self.wait_for_end(limit)

    def wait_for_end(self, limit: float = 60.0) -> int:
        """Wait until the launcher has ended, at most `limit` seconds; return its exit status. Raises TimeoutExpired (subprocess)."""
        return self.launcher.process.wait(limit)

    def ask(self, question: Callable[[Client], Awaitable[Result]]) -> Result:
        """Run one coroutine with a client of the tree."""

        async def run() -> Result:
            async with Client(self.launcher.paths.control_socket) as client:
                return await question(client)

        return asyncio.run(run())

    def status(self) -> Status:
        """The status object."""
        return self.ask(lambda client: client.status())

    def agent(self, agent_id: str) -> Status:
        """One agent, as the status object has it."""
        return self.ask(lambda client: client.agent(agent_id))

    def events(self) -> list[dict[str, Any]]:
        """Every event so far."""
        return self.ask(lambda client: client.known_events())

    def wait_until(self, true_of: Callable[[Status], bool], within: float = 10.0) -> Status:
        """The first status that a predicate is true of, looked at after each event.

        Raises AssertionError, with the last status, when there is none `within` so many seconds.
        """

        async def wait(client: Client) -> Status:
            status = await client.status()
            try:
                async with asyncio.timeout(within):
                    if true_of(status):
                        return status
                    async for _event in client.events():
                        status = await client.status()
                        if true_of(status):
                            return status
            except TimeoutError:
                pass
            raise AssertionError(f"not within {within} s; the last status was {status}")

        return self.ask(wait)

    def wait_until_all_run(self, within: float = 10.0) -> Status:
        """The first status in which every agent and supervisor runs. Raises AssertionError when there is none `within` so many seconds."""
        return self.wait_until(
            lambda status: all(row["status"] == "running" for row in (*status["agents"], *status["supervisors"])), within
        )

    def processes(self) -> list[psutil.Process]:
        """Every process of every run of this tree that is still there, zombies not counted."""
        return [process for run_id in self.run_ids for process in processes_of(run_id)]

    def expect_nothing_left(self, within: float = _SETTLE) -> None:
        """Raise LeakedProcesses unless every process of the tree is gone `within` so many seconds."""
        deadline = time.monotonic() + within
        while left := self.processes():
            if time.monotonic() > deadline:
                raise LeakedProcesses("; ".join(_describe(process) for process in left))
            psutil.wait_procs(left, timeout=0.2)

    def end_by_force(self) -> None:
        """Kill every process of the tree that is still there."""
        while left := self.processes():
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(left, timeout=1.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.launcher.process.wait(5)


def _describe(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{process.pid} {process.name()} ({' '.join(process.cmdline())[:80]}), {process.status()}"
    return str(process.pid)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal, as somebody outside would."""
    os.kill(pid, number)
