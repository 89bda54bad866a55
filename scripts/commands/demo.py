"""`suptree demo`: a fleet that crashes, hangs and is killed on purpose, watched live."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import as_file, files
from pathlib import Path

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from suptree.actors.errors import SuptreeError
from suptree.control.client.client import Client
from suptree.control.launcher.launch_spec import LaunchSpec
from suptree.control.launcher.spawn import LauncherProcess, begin_launcher
from suptree.supervisors.config.tree_file import load_tree

from ..common import Seconds
from ..drawings import terminal
from ..printer import Printer
from ..screen import say
from .foreground import Ended, run_in_foreground
from .status_table import status_table

_VICTIM = "victim"
_KILL_EVERY = 7.0
_REFRESH = 0.5
_EVENTS_SHOWN = 14


@click.command()
@click.option("--seconds", type=Seconds(), default=30.0, show_default=True, help="How long to watch; Ctrl-C ends it sooner.")
def demo(seconds: float) -> None:
    """Watch a fleet that crashes, hangs and is killed on purpose, and recovers.

    Needs no key, no network and no second terminal, and leaves nothing behind.
    """
    with as_file(files("suptree.scripts") / "demo.toml") as file:
        raise SystemExit(asyncio.run(_run(file, seconds)))


async def _run(file: Path, seconds: float) -> int:
    # Under the ordinary home: other commands, in another terminal, work on it as on any tree.
    launch = LaunchSpec(name=load_tree(file).name, file=str(file), owner_pid=os.getpid(), ephemeral=True)
    watch = _watch_live if sys.stdout.isatty() else _watch_plainly
    return (await watch(lambda: begin_launcher(launch), seconds)).report()


async def _watch_plainly(begin: Callable[[], LauncherProcess], seconds: float) -> Ended:
    say(f"demo: {seconds:g} seconds; poet raises, dreamer hangs, coder segfaults, {_VICTIM} is killed from outside")
    async with _beside(_kill_regularly) as on_ready:
        return await run_in_foreground(begin, on_ready, Printer().say, seconds)


async def _watch_live(begin: Callable[[], LauncherProcess], seconds: float) -> Ended:
    recent: deque[str] = deque(maxlen=_EVENTS_SHOWN)

    async def keep(line: str) -> None:
        recent.append(line)

    # Transient: the last drawing would show a fleet that runs, above a line that says that it is gone.
    with Live(console=terminal(), auto_refresh=False, transient=True) as live:
        async with _beside(_kill_regularly, lambda client: _draw(client, live, recent)) as on_ready:
            ended = await run_in_foreground(begin, on_ready, keep, seconds)
    say("\n".join(recent))
    return ended


@contextlib.asynccontextmanager
async def _beside(*acts: Callable[[Client], Awaitable[None]]) -> AsyncIterator[Callable[[LauncherProcess], Awaitable[None]]]:
    """What to call with a launcher that is ready: it begins what goes on beside the watching, until that has ended."""
    tasks: list[asyncio.Task[None]] = []

    async def act(launcher: LauncherProcess, perform: Callable[[Client], Awaitable[None]]) -> None:
        async with Client(launcher.paths.control_socket) as client:
            await perform(client)

    async def begin(launcher: LauncherProcess) -> None:
        tasks.extend(asyncio.create_task(act(launcher, perform)) for perform in acts)

    yield begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _draw(client: Client, live: Live, recent: deque[str]) -> None:
    while True:
        with contextlib.suppress(SuptreeError):
            table = status_table(await client.status(), live.console.width)
            live.update(Group(table, Text(), Text("\n".join(recent), "dim", no_wrap=True, overflow="ellipsis")), refresh=True)
        await asyncio.sleep(_REFRESH)


async def _kill_regularly(client: Client) -> None:
    """What the out-of-memory killer, or a colleague, would do."""
    while True:
        await asyncio.sleep(_KILL_EVERY)
        with contextlib.suppress(SuptreeError, ProcessLookupError):
            pid = (await client.agent(_VICTIM))["pid"]
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
