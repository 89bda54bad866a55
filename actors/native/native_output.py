"""Where the prints of a native agent go: to the log of the agent, line by line, as what a program prints does."""

import asyncio
import io
from collections.abc import Callable
from typing import Any

from ..output.line_splitter import LineSplitter
from ..output.output_log import OutputLog
from ..output.standing_line import StandingLine


def log_stream(log: OutputLog, stream: str, count: Callable[[int], None]) -> io.TextIOWrapper:
    """A text stream, as `sys.stdout` is one, that keeps what is written to it in an agent's log; for a program of the running loop."""
    return io.TextIOWrapper(_LogWriter(log, stream, count), encoding="utf-8", errors="backslashreplace", write_through=True)


class _LogWriter(io.BufferedIOBase):
    name = "agent log"

    def __init__(self, log: OutputLog, stream: str, count: Callable[[int], None]) -> None:
        self._count = count
        self._descriptor = {"out": 1, "err": 2}[stream]
        self._splitter = LineSplitter(log, stream)
        self._standing = StandingLine(self._splitter, asyncio.get_running_loop())

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        self._count(len(data))
        self._splitter.feed(bytes(data))
        self._standing.watch()
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._standing.close()
            self._splitter.close()
        super().close()
