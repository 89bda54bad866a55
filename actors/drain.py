"""Reading what a program prints, always, so that it never waits for us."""

import asyncio
import os

from .line_splitter import LineSplitter
from .output_log import OutputLog


class Drain(asyncio.Protocol):
    """Reads one output of a program into a log, until everyone who could write there has closed it."""

    def __init__(self, log: OutputLog, stream: str) -> None:
        self._splitter = LineSplitter(log, stream)
        self._transport: asyncio.BaseTransport | None = None
        self.ended = asyncio.get_running_loop().create_future()

    @classmethod
    async def reading(cls, descriptor: int, log: OutputLog, stream: str) -> "Drain":
        """A drain that reads from a pipe or terminal, and closes it in the end."""
        source = os.fdopen(descriptor, "rb", buffering=0)
        _transport, drain = await asyncio.get_running_loop().connect_read_pipe(lambda: cls(log, stream), source)
        return drain

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._splitter.feed(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self.close()

    def close(self) -> None:
        """Read no more, and keep what came after the last newline."""
        if not self.ended.done():
            self.ended.set_result(None)
            self._splitter.close()
            if self._transport is not None:
                self._transport.close()
