"""The stdin and stdout of an agent's program, for programs without asyncio."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from .stdio import StdioReader, StdioWriter

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class BlockingReader:
    """What a program writes to its stdout, byte for byte; what each method raises is written at `StdioReader`."""

    def __init__(self, run: Run, reader: StdioReader) -> None:
        self._run = run
        self._reader = reader

    def __iter__(self) -> Iterator[bytes]:
        """Each line as it comes."""
        while line := self.readline():
            yield line

    def read(self, n: int = -1) -> bytes:
        """At most `n` bytes as soon as there are some; with -1 everything to the end."""
        return bytes(self._run(self._reader.read(n)))

    def readline(self) -> bytes:
        """One line with its newline."""
        return bytes(self._run(self._reader.readline()))

    def readexactly(self, n: int) -> bytes:
        """Exactly `n` bytes."""
        return bytes(self._run(self._reader.readexactly(n)))

    def readuntil(self, separator: bytes = b"\n") -> bytes:
        """All up to a separator, and that."""
        return bytes(self._run(self._reader.readuntil(separator)))


class BlockingWriter:
    """What the program reads from its stdin."""

    def __init__(self, run: Run, writer: StdioWriter) -> None:
        self._run = run
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Write, and wait until the program has read enough of it. Raises AgentEnded when the program reads no more."""
        self._run(self._write(data))

    def write_eof(self) -> None:
        """End the input of the program, after what was written."""
        self._run(self._end())

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def _end(self) -> None:
        self._writer.write_eof()
