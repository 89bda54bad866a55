"""Running a tree in the foreground, until it ends or somebody ends it."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from suptree.actors.errors import NotRunning, StartFailed
from suptree.actors.events.event_types import EventsSkipped, Kind, event_name
from suptree.actors.events.wording import line
from suptree.actors.kernel.linux import signal_name
from suptree.actors.kernel.sweep import reap_zombies
from suptree.control.client.client import Client
from suptree.control.launcher.spawn import LauncherProcess
from suptree.control.trees import leftovers

from ..printer import say_if_read

_LAST_EVENTS_WAIT = 2.0
_RECONNECT_AFTER = 0.5
_SAME_SIGTERM = 1.0
_SKIPPED = event_name(EventsSkipped, Kind.TREE)
"""It counts what the launcher let go, itself."""


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
            say_if_read(f"the tree has ended with its launcher, which somebody ended with {signal_name(-self.status)}", err=True)
        elif self.status > 0:
            say_if_read(f"the tree ended by itself: see {self.log}", err=True)
        say_if_read(f"{self.tree}: {self.left} processes left")
        return 1 if self.left or self.status < 0 else self.status


async def run_in_foreground(
    begin: Callable[[], LauncherProcess],
    on_ready: Callable[[LauncherProcess], Awaitable[None]],
    show: Callable[[str], Awaitable[None]],
    seconds: float | None = None,
) -> Ended:
    """Begin a launcher and show its events, a line each, until its tree ends by itself, at Ctrl-C, or `seconds` after it was ready.

    `on_ready` and `show` may wait for a reader; when the tree ends, this function does not wait for them for long.
    """
    asked = False

    def stop() -> None:
        nonlocal asked
        asked = True
        launcher.ask_to_stop()

    with _at_interrupt(stop):
        launcher = begin()
        _reap_strangers(launcher.process.pid)
        try:
            await launcher.ready()
        except StartFailed:
            if not asked:
                raise
        else:
            if seconds is not None:
                asyncio.get_running_loop().call_later(seconds, stop)
            await _show_events(launcher, on_ready, show)
        status = await launcher.wait()
        if status != 0:
            # Its actors end without it, but in their own time.
            await asyncio.to_thread(leftovers.end, launcher.run_id)
    return Ended(launcher.paths.name, status, len(leftovers.processes_of(launcher.run_id)), launcher.paths.launcher_log)


async def _show_events(
    launcher: LauncherProcess,
    on_ready: Callable[[LauncherProcess], Awaitable[None]],
    show: Callable[[str], Awaitable[None]],
) -> None:
    """Show events until the launcher ends: a reader of stdout that does not read holds nothing up but what it would see."""
    ended = asyncio.ensure_future(launcher.wait())
    showing = asyncio.ensure_future(_show_each(launcher, ended, on_ready, show))
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


async def _show_each(
    launcher: LauncherProcess,
    ended: asyncio.Future[int],
    on_ready: Callable[[LauncherProcess], Awaitable[None]],
    show: Callable[[str], Awaitable[None]],
) -> None:
    """Show that the tree is ready, then a line for each event.

    An event is missed when this program was stopped for so long that the launcher let it go, or when its line could not be written (a full
    disk, a reader that has gone), which ends no tree: a line says how many were.
    """
    complained = False

    async def shows(*lines: str) -> bool:
        nonlocal complained
        try:
            for text in lines:
                await show(text)
        except OSError as error:
            if not complained:
                say_if_read(f"stdout: {error.strerror}: events are not shown, and the tree goes on", err=True)
            complained = True
            return False
        return True

    with contextlib.suppress(OSError):
        await on_ready(launcher)
    last: int | None = None
    while not ended.done():
        with contextlib.suppress(NotRunning):
            async with Client(launcher.paths.control_socket) as client, contextlib.aclosing(client.events(last or 0)) as events:
                async for event in events:
                    # Numbers go on from run to run: only the first event says where those of this run begin.
                    last = event["seq"] - 1 if last is None else last
                    missed = event["seq"] - last - 1 if event["event"] != _SKIPPED else 0
                    gap = [f"({missed} events are not shown: see `suptree events --tree {launcher.paths.name}`)"] if missed > 0 else []
                    if await shows(*gap, line(event)):
                        last = event["seq"]
        await asyncio.wait({ended}, timeout=_RECONNECT_AFTER)


def _reap_strangers(launcher: int) -> None:
    """Take the exit status of every child but the launcher: process 1 of a container gets the orphans of all others (`docker exec`)."""

    def reap() -> None:
        reap_zombies({launcher})

    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, reap)
    # One that ended before has sent its signal.
    reap()


@contextlib.contextmanager
def _at_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Act at each Ctrl-C or SIGTERM, instead of ending; `timeout` sends SIGTERM twice: to the program, and to its process group."""
    loop = asyncio.get_running_loop()
    terminated_at = -_SAME_SIGTERM

    def terminated() -> None:
        nonlocal terminated_at
        now = loop.time()
        is_new, terminated_at = now - terminated_at >= _SAME_SIGTERM, now
        if is_new:
            act()

    loop.add_signal_handler(signal.SIGINT, act)
    loop.add_signal_handler(signal.SIGTERM, terminated)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            # What ends now needs no further Ctrl-C.
            signal.signal(number, signal.SIG_IGN)
