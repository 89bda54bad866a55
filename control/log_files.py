"""Reading the output files of agents: the last lines, and what is written to them next."""

import asyncio
import ctypes
import os
from collections.abc import AsyncIterator
from pathlib import Path

_BLOCK = 64 * 1024
_IN_MODIFY, _IN_CREATE, _IN_MOVED_FROM = 0x2, 0x100, 0x40
_EVENT_BUFFER = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file; none when there is no file."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            data = b""
            while end > 0 and data.count(b"\n") <= lines:
                start = max(0, end - _BLOCK)
                file.seek(start)
                data = file.read(end - start) + data
                end = start
    except FileNotFoundError:
        return []
    return [line.decode("utf-8", "replace") for line in data.splitlines()[-lines:]] if lines else []


async def follow_log(path: Path, lines: int) -> AsyncIterator[str]:
    """The last lines of a file, then each new one when it is written; goes on across a rotation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    inotify = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if inotify < 0 or _libc.inotify_add_watch(inotify, os.fsencode(path.parent), _IN_MODIFY | _IN_CREATE | _IN_MOVED_FROM) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))

    def heard() -> None:
        os.read(inotify, _EVENT_BUFFER)
        changed.set()

    loop.add_reader(inotify, heard)
    try:
        for line in tail(path, lines):
            yield line
        position = path.stat().st_size if path.exists() else 0
        inode = path.stat().st_ino if path.exists() else None
        rest = b""
        while True:
            changed.clear()
            if path.exists():
                found = path.stat()
                if found.st_ino != inode:
                    inode, position, rest = found.st_ino, 0, b""
                with path.open("rb") as file:
                    file.seek(position)
                    data = file.read()
                position += len(data)
                *ended, rest = (rest + data).split(b"\n")
                for line_bytes in ended:
                    yield line_bytes.decode("utf-8", "replace")
            await changed.wait()
    finally:
        loop.remove_reader(inotify)
        os.close(inotify)
