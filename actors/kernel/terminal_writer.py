"""Writing to a terminal of which the other end may be closed and opened again."""

import asyncio
import os
from typing import Any

_REST = 0.1


class TerminalWriter(asyncio.WriteTransport):
    """Our end of a terminal.

    While nobody has its other end open, the kernel says all the time that it may be written to, though it takes nothing: then this rests.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int, protocol: asyncio.BaseProtocol) -> None:
        super().__init__({"pipe": descriptor})
        self._loop = loop
        self._descriptor = descriptor
        self._protocol = protocol
        self._waiting = bytearray()
        self._is_lost = False
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        """Write what it takes now, and the rest later."""
        begins = not self._waiting
        self._waiting += data
        if begins:
            self._write()

    def get_write_buffer_size(self) -> int:
        """Bytes that it has not taken."""
        return len(self._waiting)

    def is_closing(self) -> bool:
        """Whether it takes nothing any more."""
        return self._is_lost

    def _write(self) -> None:
        try:
            written = os.write(self._descriptor, self._waiting)
        except BlockingIOError:
            written = 0
        except OSError as error:
            self._lost(error)
            return
        del self._waiting[:written]
        if self._waiting:
            self._loop.add_writer(self._descriptor, self._may_write)

    def _may_write(self) -> None:
        self._loop.remove_writer(self._descriptor)
        before = len(self._waiting)
        self._write()
        if self._waiting and len(self._waiting) == before:
            self._loop.remove_writer(self._descriptor)
            self._loop.call_later(_REST, self._loop.add_writer, self._descriptor, self._may_write)

    def _lost(self, error: OSError) -> None:
        self._is_lost = True
        self._waiting.clear()
        self._loop.call_soon(self._protocol.connection_lost, error)
