"""Reading what a program prints, always, so that the program never waits for us."""

import asyncio
import os
from collections.abc import Callable

from .line_splitter import LineSplitter
from .standing_line import StandingLine


class OutputReader(asyncio.Protocol):
    """Reads one output of a program, until every process that could write there has closed it; then `ended` is done."""

    def __init__(self, splitter: LineSplitter, count: Callable[[int], None]) -> None:
        self._splitter = splitter
        self._standing = StandingLine(splitter, asyncio.get_running_loop())
        self._count = count
        self._transport: asyncio.BaseTransport | None = None
        self.ended = asyncio.get_running_loop().create_future()

    @classmethod
    async def reading(cls, descriptor: int, splitter: LineSplitter, count: Callable[[int], None]) -> "OutputReader":
        """A reader that reads from a pipe or terminal, and closes it in the end; `count` is called with how many bytes come."""
        source = os.fdopen(descriptor, "rb", buffering=0)
        _transport, reader = await asyncio.get_running_loop().connect_read_pipe(lambda: cls(splitter, count), source)
        return reader

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._count(len(data))
        self._splitter.feed(data)
        self._standing.watch()

    def connection_lost(self, _error: Exception | None) -> None:
        self.close()

    def close(self) -> None:
        """Read no more, and keep what came after the last newline."""
        if not self.ended.done():
            self.ended.set_result(None)
            self._standing.close()
            self._splitter.close()
            if self._transport is not None:
                self._transport.close()
