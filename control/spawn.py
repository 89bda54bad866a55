"""Starting a launcher, for the command line and for programs that embed a tree."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from suptree.actors.errors import AlreadyRunning, StartFailed, SuptreeError

from .launcher_orders import Orders
from .leftovers import RUN_VARIABLE
from .paths import TreePaths

_LAST_WORDS = 20


class LauncherProcess:
    """A launcher that was started here; `pidfd` is readable when it has ended."""

    def __init__(self, process: subprocess.Popen[bytes], paths: TreePaths, run_id: str) -> None:
        self.process = process
        self.paths = paths
        self.run_id = run_id

    async def wait(self) -> int:
        """Wait for its end, without blocking the event loop; return its exit status."""
        if self.process.returncode is None:
            loop = asyncio.get_running_loop()
            pidfd = os.pidfd_open(self.process.pid)
            ended = asyncio.Event()
            loop.add_reader(pidfd, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(pidfd)
                os.close(pidfd)
        return self.process.wait()


async def spawn_launcher(
    name: str,
    *,
    file: Path | None = None,
    owner_pid: int | None = None,
    base: Path | None = None,
    sys_path: list[str] | None = None,
    ephemeral: bool = False,
) -> LauncherProcess:
    """Start a launcher and return when its tree is ready.

    Raises AlreadyRunning when that tree runs, StartFailed with the story when it ended before it was ready.
    """
    paths = TreePaths.of(name, base)
    paths.make()
    run_id = uuid.uuid4().hex
    ready_end, launcher_end = os.pipe()
    orders = Orders(
        name=name,
        run_id=run_id,
        file=str(file) if file else None,
        owner_pid=owner_pid,
        ready_fd=launcher_end,
        sys_path=sys_path or [],
        ephemeral=ephemeral,
    )
    environment = {**os.environ, RUN_VARIABLE: run_id}
    if base is not None:
        environment["SUPTREE_HOME"] = str(base)
    try:
        # Files, not pipes: the admin would keep a pipe open, and whoever reads it waiting.
        with paths.launcher_log.open("ab") as output:
            position = output.tell()
            process = subprocess.Popen(  # noqa: ASYNC220  (fork and exec of a small program; nothing is waited for)
                [sys.executable, "-m", "suptree.control.launcher", orders.to_json()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                pass_fds=[launcher_end],
                start_new_session=True,
            )
    finally:
        os.close(launcher_end)
    launcher = LauncherProcess(process, paths, run_id)
    try:
        said = await _first_line(ready_end)
    except BaseException:
        process.terminate()
        raise
    if said.get("ready"):
        return launcher
    await launcher.wait()
    if said.get("kind") == AlreadyRunning.__name__:
        raise AlreadyRunning(said["error"])
    if "error" in said:
        raise SuptreeError(said["error"])
    raise StartFailed(f"tree {name!r} ended before it was ready:\n{_story(paths.launcher_log, position)}")


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


def _story(log: Path, position: int) -> str:
    """What the launcher said of its end: the story if it told one, else its last lines."""
    with log.open("rb") as file:
        file.seek(position)
        lines = file.read().decode("utf-8", "replace").splitlines()
    for line in reversed(lines):
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and "story" in said:
            return "\n".join(f"  {sentence}" for sentence in said["story"])
    return "\n".join(f"  {line}" for line in lines[-_LAST_WORDS:])
