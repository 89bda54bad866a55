"""`suptree demo`: a fleet that crashes, hangs and is killed on purpose, watched live."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections import deque
from importlib.resources import as_file, files
from pathlib import Path

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from suptree.actors.errors import SuptreeError
from suptree.control.client import Client
from suptree.control.spawn import LauncherProcess, spawn_launcher
from suptree.control.wording import line
from suptree.supervisors.tree_file import load_tree

from .tree_commands import run_in_foreground
from .view_commands import status_table

_VICTIM = "victim"
_KILL_EVERY = 7.0
_REFRESH = 0.5
_EVENTS_SHOWN = 14


@click.command()
@click.option("--seconds", default=30.0, show_default=True, help="How long to watch; Ctrl-C ends it sooner.")
def demo(seconds: float) -> None:
    """Watch a fleet that crashes, hangs and is killed on purpose, and recovers.

    Needs no key, no network and no second terminal, and leaves nothing behind.
    """
    with as_file(files(__package__) / "demo.toml") as file:
        raise SystemExit(asyncio.run(_run(file, seconds)))


async def _run(file: Path, seconds: float) -> int:
    base = Path(tempfile.mkdtemp(prefix="suptree-demo-"))
    launcher = await spawn_launcher(load_tree(file).name, file=file, owner_pid=os.getpid(), base=base, ephemeral=True)
    killer = asyncio.create_task(_kill_now_and_then(launcher))
    try:
        if sys.stdout.isatty():
            return await _watch_live(launcher, seconds)
        print(f"demo: {seconds:g} seconds; poet raises, dreamer hangs, coder segfaults, {_VICTIM} is killed from outside", flush=True)
        return await run_in_foreground(launcher, lambda event: print(line(event), flush=True), seconds)
    finally:
        killer.cancel()


async def _watch_live(launcher: LauncherProcess, seconds: float) -> int:
    recent: deque[str] = deque(maxlen=_EVENTS_SHOWN)
    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        drawing = asyncio.create_task(_draw(launcher, live, recent))
        status = await run_in_foreground(launcher, lambda event: recent.append(line(event)), seconds)
        drawing.cancel()
    return status


async def _draw(launcher: LauncherProcess, live: Live, recent: deque[str]) -> None:
    async with Client(launcher.paths.control_socket) as client:
        while True:
            with contextlib.suppress(SuptreeError):
                table = status_table(await client.status())
                live.update(Group(table, Text(), Text("\n".join(recent), "dim", no_wrap=True, overflow="ellipsis")), refresh=True)
            await asyncio.sleep(_REFRESH)


async def _kill_now_and_then(launcher: LauncherProcess) -> None:
    """What the out-of-memory killer, or a colleague, would do."""
    async with Client(launcher.paths.control_socket) as client:
        while True:
            await asyncio.sleep(_KILL_EVERY)
            with contextlib.suppress(SuptreeError, ProcessLookupError):
                pid = (await client.agent(_VICTIM))["pid"]
                if pid is not None:
                    os.kill(pid, signal.SIGKILL)
