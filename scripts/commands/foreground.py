"""Running a tree in the foreground, until it ends or somebody ends it."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suptree.actors.errors import NotRunning, StartFailed
from suptree.actors.kernel.linux import signal_name
from suptree.control.client.client import Client
from suptree.control.launcher.spawn import LauncherProcess
from suptree.control.trees import leftovers

from ..screen import say
from ..stdout_room import has_room, room_on_stdout

_LAST_EVENTS_WAIT = 2.0
_RECONNECT_AFTER = 0.5


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended, and how many of its processes are left."""

    tree: str
    status: int
    left: int
    log: Path

    def report(self) -> int:
        """Say how it ended; return the exit status."""
        if self.status < 0:
            say(f"the tree has ended with its launcher, which somebody ended with {signal_name(-self.status)}", err=True)
        elif self.status > 0:
            say(f"the tree ended by itself: see {self.log}", err=True)
        # Where nobody reads, there is nobody to say it to.
        if has_room():
            say(f"{self.tree}: {self.left} processes left")
        return 1 if self.left or self.status < 0 else self.status


async def run_in_foreground(
    begin: Callable[[], LauncherProcess],
    on_ready: Callable[[LauncherProcess], None],
    show: Callable[[dict[str, Any]], None],
    seconds: float | None = None,
) -> Ended:
    """Begin a launcher and show its events until its tree ends by itself, at Ctrl-C, or `seconds` after it was ready."""
    asked = False

    def stop() -> None:
        nonlocal asked
        asked = True
        launcher.process.terminate()

    with _at_interrupt(stop):
        launcher = begin()
        try:
            await launcher.ready()
        except StartFailed:
            if not asked:
                raise
        else:
            on_ready(launcher)
            if seconds is not None:
                asyncio.get_running_loop().call_later(seconds, stop)
            await _show_events(launcher, show)
        status = await launcher.wait()
        if status != 0:
            # Its actors end without it, but in their own time.
            await asyncio.to_thread(leftovers.end, launcher.run_id)
    return Ended(launcher.paths.name, status, len(leftovers.processes_of(launcher.run_id)), launcher.paths.launcher_log)


async def _show_events(launcher: LauncherProcess, show: Callable[[dict[str, Any]], None]) -> None:
    """Show events until the launcher ends: a reader of stdout that does not read holds nothing up but what it would see."""
    ended = asyncio.ensure_future(launcher.wait())
    showing = asyncio.ensure_future(_show_each(launcher, ended, show))
    try:
        await asyncio.wait({showing, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            # The last events may be on their way.
            await asyncio.wait({showing}, timeout=_LAST_EVENTS_WAIT)
        if showing.done():
            showing.result()
    except BaseException:
        await launcher.end()
        raise
    finally:
        for task in (showing, ended):
            task.cancel()
        await asyncio.wait({showing, ended})


async def _show_each(launcher: LauncherProcess, ended: asyncio.Future[int], show: Callable[[dict[str, Any]], None]) -> None:
    """Show each event; after a time in which this program was stopped, the launcher may have let it go: say how many events it missed."""
    last = 0
    while not ended.done():
        with contextlib.suppress(NotRunning):
            async with Client(launcher.paths.control_socket) as client, contextlib.aclosing(client.events(last)) as events:
                async for event in events:
                    await room_on_stdout()
                    if last and (missed := event["seq"] - last - 1) > 0:
                        say(f"({missed} events are not shown: see `suptree events --tree {launcher.paths.name}`)")
                    last = event["seq"]
                    show(event)
        await asyncio.wait({ended}, timeout=_RECONNECT_AFTER)


@contextlib.contextmanager
def _at_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Act at each Ctrl-C or SIGTERM, instead of ending."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, act)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            # What ends now needs no further Ctrl-C.
            signal.signal(number, signal.SIG_IGN)
