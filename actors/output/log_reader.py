"""Reading the output files of agents: the last lines, and what is written to them next."""

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterator
from pathlib import Path
from typing import Any

from ..errors import SuptreeError
from ..kernel.trusted_folder import make_own
from ..kernel.turns import Turns
from .log_files import LogFiles, text
from .log_folder_watch import LogFolderWatch
from .output_log import ENTRY

MOST_LINES = 1_000_000
"""How many of the last lines can be asked for."""


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log, across its rotation; none when there is no file. Raises SuptreeError when it cannot be read."""
    with _reading(path), contextlib.closing(LogFiles(path, lines)) as files:
        found = [*files.lines(), *([text(files.rest)] if files.rest else [])]
    return found[-lines:] if lines > 0 else []


def tail_of(path: Path, lines: int, incarnation: int) -> list[str]:
    """The last lines of one incarnation that are still kept. Raises SuptreeError when they cannot be read."""
    found: deque[str] = deque(maxlen=max(lines, 0))
    writer = None
    with _reading(path), contextlib.closing(LogFiles(path, sys.maxsize)) as files:
        for line in files.lines():
            if entry := ENTRY.match(line):
                writer = int(entry[2])
            # What C code wrote has nothing before it, and belongs to the incarnation that wrote last.
            if writer == incarnation:
                found.append(line)
    return list(found)


async def follow_log(path: Path, lines: int, ended: "asyncio.Future[Any] | None" = None) -> AsyncGenerator[str, None]:
    """The last lines of a log, then each new one when it is written, as `tail -F` shows them.

    It goes on across rotations, and when the file or its folder is deleted, moved away, emptied or made again; where lines are
    missing because of that, a line says so. It returns with the last line when `ended` is done, else never. Others on the loop have their
    turn, however many lines there are. Raises SuptreeError when the file cannot be read.
    """
    with contextlib.suppress(OSError):
        make_own(path.parent)
    # Watched before it is read, so that nothing is written in between unnoticed.
    with contextlib.closing(LogFolderWatch(path.parent)) as changes, _reading(path):
        files = await asyncio.to_thread(LogFiles, path, lines)
        with contextlib.closing(files):
            changes.begun = files.look
            while True:
                is_last = ended is not None and ended.done()
                changes.clear()
                # Lines may come faster than they are read, and who reads them may never have to wait.
                turns = Turns()
                for line in files.lines():
                    yield line
                    await turns.rest()
                if is_last:
                    break
                await _either(changes.wait(), ended)
            if files.rest:
                yield text(files.rest)


async def _either(change: Coroutine[Any, Any, None], ended: "asyncio.Future[Any] | None") -> None:
    if ended is None:
        await change
        return
    changed = asyncio.ensure_future(change)
    try:
        await asyncio.wait({changed, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        changed.cancel()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SuptreeError(f"{path} cannot be read: {error.strerror}") from None
