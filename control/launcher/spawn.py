"""Starting a launcher, for the command line and for programs that embed a tree."""

import asyncio
import concurrent.futures.thread  # noqa: F401  (asyncio would import it in the middle of the first start)
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from suptree.actors.agent.environment import launcher_environment
from suptree.actors.errors import AlreadyRunning, StartFailed, SuptreeError
from suptree.actors.events.json_values import read_json
from suptree.actors.kernel.private_files import open_private
from suptree.actors.kernel.sweep import process_ended

from ..trees.paths import TreePaths, start_failed
from ..trees.standing import RUN_VARIABLE
from .handed_over import hand_over
from .launch_spec import LaunchSpec
from .launcher_signals import STARTER_ASKS, STOPS

_LAST_WORDS = 20
_LAST_STANDARD = 2

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False, kw_only=True)
class LauncherProcess:
    """A launcher that was started here; `position` is where its part of the log, `output`, begins."""

    process: subprocess.Popen[bytes]
    paths: TreePaths
    run_id: str
    ready_end: int
    output: BinaryIO
    position: int

    async def ready(self) -> None:
        """Return when its tree is ready; when this is cancelled, its tree has ended. Raises what `spawn_launcher` raises."""
        with self.output:
            try:
                said = await _first_line(self.ready_end)
            except BaseException:
                await to_the_end(self.end())
                raise
            if said.get("ready"):
                return
            status = await self.wait()
            if said.get("kind") == AlreadyRunning.__name__:
                raise AlreadyRunning(said["error"])
            if "error" in said:
                raise SuptreeError(said["error"])
            if said.get("stopped"):
                raise StartFailed(f"tree {self.paths.name!r} was stopped on request before it was ready")
            raise StartFailed(f"tree {self.paths.name!r} {_story(self.output, self.position, status)}")

    async def discard(self) -> None:
        """Stop its tree before anybody has waited for it to be ready, and keep nothing of it open."""
        with self.output:
            os.close(self.ready_end)
            await self.end()

    async def end(self) -> int:
        """Stop its tree in order, and wait for its end; return its exit status."""
        self.ask_to_stop()
        return await self.wait()

    def ask_to_stop(self) -> None:
        """Begin to stop its tree in order; a second call ends the grace of what still stops."""
        self.process.send_signal(STARTER_ASKS)

    async def wait(self) -> int:
        """Wait for its end, without blocking the event loop; return its exit status."""
        if self.process.returncode is None:
            # Gone already where this program ignores SIGCHLD: then the kernel keeps no exit status, and `wait` says 0.
            await process_ended(self.process.pid)
        return self.process.wait()


async def spawn_launcher(
    name: str,
    *,
    file: Path | None = None,
    listen: str | None = None,
    owner_pid: int | None = None,
    base: Path | None = None,
    sys_path: list[str] | None = None,
    ephemeral: bool = False,
) -> LauncherProcess:
    """Start a launcher and return when its tree is ready.

    Raises AlreadyRunning when that tree runs, StartFailed with the story when it ended before it was ready.
    """
    launch = LaunchSpec(
        name=name, file=str(file) if file else None, listen=listen, owner_pid=owner_pid, sys_path=sys_path or [], ephemeral=ephemeral
    )
    # To fork and to make folders takes tens of milliseconds, which an event loop is not to be held for.
    beginning = asyncio.ensure_future(asyncio.to_thread(begin_launcher, launch, base))
    try:
        launcher = await asyncio.shield(beginning)
    except asyncio.CancelledError:
        begun = await to_the_end(beginning)
        await to_the_end(begun.discard())
        raise
    await launcher.ready()
    return launcher


async def to_the_end(work: Coroutine[Any, Any, Result] | asyncio.Future[Result]) -> Result:
    """The result of some work; a cancellation, and each further one, waits until the work is done."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    return task.result()


def begin_launcher(launch: LaunchSpec, base: Path | None = None) -> LauncherProcess:
    """Start a launcher, whose tree is not ready yet; `base` is the home of its tree if not the present one."""
    if not sys.executable:
        raise _no_python()
    paths = TreePaths.of(launch.name, base)
    paths.make()
    environment = {**launcher_environment(os.environ), RUN_VARIABLE: launch.run_id}
    if base is not None:
        environment["SUPTREE_HOME"] = str(base)
    try:
        # A file, not a pipe: the admin would keep a pipe open, and its reader waiting.
        output = os.fdopen(_above_standard(open_private(paths.launcher_log)), "a+b")
    except OSError as error:
        raise SuptreeError(start_failed(paths, error)) from None
    position = output.tell()
    ready_end, launcher_end = map(_above_standard, os.pipe())
    # It inherits this: what comes before it has a handler is kept for it.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    # A program that embeds a tree says itself, at each start_agent, what is inherited.
    ours = _above_standard(hand_over(os.environ if launch.file is not None else {}))
    try:
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-X",
                "utf8",
                "-m",
                "suptree.control.launcher.launcher",
                replace(launch, ready_fd=launcher_end).to_json(),
            ],
            stdin=ours,
            stdout=output,
            stderr=output,
            env=environment,
            pass_fds=[launcher_end],
            start_new_session=True,
        )
    except BaseException as error:
        output.close()
        os.close(ready_end)
        # Not asked for before: what a process may execute, its capabilities decide too.
        if isinstance(error, FileNotFoundError | PermissionError):
            raise _no_python() from None
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(launcher_end)
        os.close(ours)
    return LauncherProcess(process=process, paths=paths, run_id=launch.run_id, ready_end=ready_end, output=output, position=position)


def _no_python() -> SuptreeError:
    """What to raise where the program does not say which Python runs it."""
    return SuptreeError(
        f"sys.executable is {sys.executable!r}, and a tree needs a Python that has suptree: set sys.executable to its path"
        " before the first agent is started"
    )


def _above_standard(descriptor: int) -> int:
    """The same file under a number that no standard stream has: a program that closed its own gets 0, 1 and 2 for whatever it opens."""
    if descriptor > _LAST_STANDARD:
        return descriptor
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LAST_STANDARD + 1)
    os.close(descriptor)
    return moved


async def _first_line(descriptor: int) -> dict[str, Any]:
    """The JSON object that comes through a pipe; empty when the pipe closes without one."""
    reader = asyncio.StreamReader()
    with os.fdopen(descriptor, "rb") as pipe:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            line = await reader.readline()
        finally:
            transport.close()
    return dict(json.loads(line)) if line else {}


def _story(output: BinaryIO, position: int, status: int) -> str:
    """How the launcher ended before its tree was ready: with its story, else with the end of its log."""
    output.seek(position)
    lines = output.read().decode("utf-8", "replace").splitlines()
    entries = [_entry(line) for line in lines]
    story = next((entry["story"] for entry in reversed(entries) if entry.get("story")), None)
    if story is not None:
        return "\n".join(["ended before it was ready:", *(f"  {sentence}" for sentence in story)])
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    words = [word for line, entry in zip(lines, entries, strict=True) for word in (_in_words(entry) if entry else line).splitlines()]
    if not words and status >= 0:
        how += f" and without a word: is sys.executable ({sys.executable!r}) a Python that has suptree?"
    return "\n".join([f"ended before it was ready: its launcher ended with {how}", *(f"  {word}" for word in words[-_LAST_WORDS:])])


def _entry(line: str) -> dict[str, Any]:
    """A line of the launcher's own log; empty when it is somebody else's."""
    try:
        said = read_json(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _in_words(entry: dict[str, Any]) -> str:
    """An entry of the log for people."""
    rest = {key: value for key, value in entry.items() if key not in ("event", "level", "timestamp", "exception", "story")}
    fields = ", ".join(f"{key} {value}" for key, value in rest.items())
    return "\n".join(part for part in (f"{entry.get('event', '')}{': ' if fields else ''}{fields}", entry.get("exception")) if part)
