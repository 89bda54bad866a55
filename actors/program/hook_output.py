"""What a hook or probe prints, line by line, while it runs."""

import asyncio
import contextlib
import os
from collections.abc import Callable

_KEPT = 64 * 1024
_READ_SIZE = 64 * 1024
_PACKETS = 256
_REST = 0.001
"""Seconds between two looks at what is not kept: so a hook that prints without end costs its actor little."""


class HookOutput:
    """A pipe for what one prints: it takes no place that somebody could fill, or that a hook could.

    `write` gets the lines as they come, several with newlines between them, and at the end what has no newline; of 64 KiB, and no more:
    a line that they do not hold whole is left out, for a secret could be cut in two there. The end is that of the hook: what the hook has
    left behind may hold the pipe open, and finds it closed. Raises OSError when no pipe can be made.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._reads, self._writes = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reads, False)
        self._taken = 0
        self._begun = b""
        self._resting: asyncio.TimerHandle | None = None

    def fileno(self) -> int:
        """The end that the program writes to."""
        return self._writes

    def __enter__(self) -> "HookOutput":
        self._listen()
        return self

    def __exit__(self, *_error: object) -> None:
        self._rest()
        while self._taken < _KEPT and self._take():
            pass
        if self._begun and self._taken < _KEPT:
            self._write(b"\n".join(self._begun.splitlines()))
        os.close(self._reads)
        os.close(self._writes)

    def _listen(self) -> None:
        asyncio.get_running_loop().add_reader(self._reads, self._hear)

    def _rest(self) -> None:
        asyncio.get_running_loop().remove_reader(self._reads)
        if self._resting is not None:
            self._resting.cancel()

    def _hear(self) -> None:
        self._take()
        if self._taken >= _KEPT:
            self._rest()
            self._resting = asyncio.get_running_loop().call_later(_REST, self._listen)

    def _take(self) -> bool:
        """Take what has come, and let go what is more than is kept; whether something had come."""
        data = b""
        # What was written as packets (pipe(2), O_DIRECT) comes packet by packet: written together, for each costs as much as many.
        with contextlib.suppress(BlockingIOError):
            for _ in range(_PACKETS):
                data += os.read(self._reads, _READ_SIZE)
                if len(data) >= _READ_SIZE:
                    break
        kept = data[: max(0, _KEPT - self._taken)]
        self._taken += len(data)
        lines, newline, rest = kept.rpartition(b"\n")
        if newline:
            self._write(b"\n".join((self._begun + lines + newline).splitlines()))
            self._begun = b""
        self._begun += rest
        return data != b""
