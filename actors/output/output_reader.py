"""Reading what a program prints, always, so that the program never waits for us."""

import asyncio
import os
from collections.abc import Callable
from typing import cast

from .line_splitter import LineSplitter
from .standing_line import StandingLine


class OutputReader(asyncio.Protocol):
    """Reads one output of a program, until every process that could write there has closed it; then `ended` is done."""

    def __init__(self, splitter: LineSplitter, count: Callable[[int], None], heard: Callable[[bytes], object] = bytes) -> None:
        self._splitter = splitter
        self._heard = heard
        self._standing = StandingLine(splitter, asyncio.get_running_loop())
        self._count = count
        self._transport: asyncio.ReadTransport | None = None
        self.ended = asyncio.get_running_loop().create_future()

    @classmethod
    async def reading(
        cls, descriptor: int, splitter: LineSplitter, count: Callable[[int], None], heard: Callable[[bytes], object] = bytes
    ) -> "OutputReader":
        """A reader that reads from a pipe or terminal, and closes it in the end.

        `count` is called with how many bytes come, `heard` with the bytes.
        """
        source = os.fdopen(descriptor, "rb", buffering=0)
        _transport, reader = await asyncio.get_running_loop().connect_read_pipe(lambda: cls(splitter, count, heard), source)
        return reader

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._count(len(data))
        self._heard(data)
        self._splitter.feed(data)
        self._standing.watch()

    def connection_lost(self, _error: Exception | None) -> None:
        self.close()

    def hold(self, *, held: bool) -> None:
        """Leave what comes where it is, or read on."""
        if self._transport is None or self._transport.is_closing():
            return
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def fileno(self) -> int:
        """What is read from, which must not be closed."""
        assert self._transport is not None  # noqa: S101
        return int(self._transport.get_extra_info("pipe").fileno())

    def close(self) -> None:
        """Read no more, and keep what came after the last newline."""
        if not self.ended.done():
            self.ended.set_result(None)
            self._standing.close()
            self._splitter.close()
            if self._transport is not None:
                self._transport.close()
