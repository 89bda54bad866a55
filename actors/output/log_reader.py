"""Reading the output files of agents: the last lines, and what is written to them next."""

import asyncio
import contextlib
import ctypes
import os
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from .output_log import rotated_path

_BLOCK = 1024 * 1024
_ENTRY = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z #(\d+) (?:out|err) ")
_IN_MODIFY, _IN_CREATE, _IN_MOVED_FROM = 0x2, 0x100, 0x40
_EVENT_BUFFER = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log, across its rotation; none when there is no file."""
    with contextlib.closing(_Reader(path, lines)) as reader:
        found = [*reader.lines(), *([_text(reader.rest)] if reader.rest else [])]
    return found[-lines:] if lines > 0 else []


def tail_of(path: Path, lines: int, incarnation: int) -> list[str]:
    """The last lines that one incarnation wrote, of those that are still kept."""
    found: deque[str] = deque(maxlen=max(lines, 0))
    writer = None
    with contextlib.closing(_Reader(path, sys.maxsize)) as reader:
        for line in reader.lines():
            if entry := _ENTRY.match(line):
                writer = int(entry[1])
            # What C code wrote has nothing before it, and is of whoever wrote last.
            if writer == incarnation:
                found.append(line)
    return list(found)


async def follow_log(path: Path, lines: int) -> AsyncIterator[str]:
    """The last lines of a log, then each new one when it is written; goes on across rotations."""
    path.parent.mkdir(parents=True, exist_ok=True)
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        # Watched before it is read, so that nothing is written in between unnoticed.
        inotify = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if inotify < 0:
            raise _last_error()
        stack.callback(os.close, inotify)
        if _libc.inotify_add_watch(inotify, os.fsencode(path.parent), _IN_MODIFY | _IN_CREATE | _IN_MOVED_FROM) < 0:
            raise _last_error()

        def heard() -> None:
            os.read(inotify, _EVENT_BUFFER)
            changed.set()

        loop.add_reader(inotify, heard)
        stack.callback(loop.remove_reader, inotify)
        reader = stack.enter_context(contextlib.closing(await asyncio.to_thread(_Reader, path, lines)))
        while True:
            changed.clear()
            for line in reader.lines():
                yield line
            await changed.wait()


class _Reader:
    """Reads a log once, from its last lines on; it keeps the file open that it reads, so a rotation takes nothing away from it."""

    def __init__(self, path: Path, lines: int) -> None:
        # The younger first: a rotation in between shows it a second time, and hides none.
        self._places = (path, rotated_path(path))
        self._file: BinaryIO | None = None
        found = 0
        for place in self._places:
            file = _open(place)
            if file is not None:
                found = 0 if self._reads(file) else found
                self.close()
                self._file = file
                found += _seek_to_last(file, max(lines, 0) - found)
            if self._file is not None and found >= lines:
                break
        self.rest = b""

    def lines(self) -> Iterator[str]:
        """Every line that has ended and was not read yet; the beginning of one that has not is the `rest`."""
        while True:
            # Before the end is looked for: once there is a next file, nobody writes to this one.
            following = self._next()
            while self._file is not None and (data := self._file.read(_BLOCK)):
                *ended, self.rest = (self.rest + data).split(b"\n")
                yield from map(_text, ended)
            if following is None:
                return
            if self.rest:
                yield _text(self.rest)
            self.close()
            self._file, self.rest = following, b""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _next(self) -> BinaryIO | None:
        """The file that was begun after the one that is read, if there is one."""
        newest, older = (_open(place) for place in self._places)
        if newest is None or self._reads(newest):
            following = None
        elif older is None or self._reads(older):
            following = newest
        else:
            following = older  # two rotations since the last look, or the first look of all
        for file in (newest, older):
            if file is not None and file is not following:
                file.close()
        return following

    def _reads(self, file: BinaryIO) -> bool:
        return self._file is not None and os.path.sameopenfile(self._file.fileno(), file.fileno())


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def _last_error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))


def _seek_to_last(file: BinaryIO, lines: int) -> int:
    """Go to where the last `lines` lines begin; return how many there are from there on."""
    found, start = 0, file.seek(0, os.SEEK_END)
    while start > 0:
        end, start = start, max(0, start - _BLOCK)
        file.seek(start)
        block = file.read(end - start)
        here = block.count(b"\n")
        if found + here > lines:
            position = len(block)
            for _ in range(lines + 1 - found):
                position = block.rindex(b"\n", 0, position)
            file.seek(start + position + 1)
            return lines
        found += here
    file.seek(0)
    return found
