"""Writing to a program's stdin without ever waiting for it."""

import asyncio
import os
import termios
from collections.abc import Callable
from typing import cast

from ..errors import InputRefused
from ..kernel.terminal_writer import TerminalWriter
from .program_streams import ProgramStreams

INPUT_LIMIT = 1024 * 1024
"""How many bytes wait at most for a program to read them."""
# What a terminal that collects lines takes of one (N_TTY_BUF_SIZE); it drops the rest without a word.
_TERMINAL_LINE = 4095
_END_OF_FILE = b"\x04"


class ProgramInput(asyncio.BaseProtocol):
    """The writing end of one program's stdin."""

    def __init__(self, *, is_terminal: bool) -> None:
        self._is_terminal = is_terminal
        self._transport: asyncio.WriteTransport | None = None
        self._closed: Callable[[], object] = list

    @classmethod
    async def of(cls, streams: ProgramStreams) -> "ProgramInput | None":
        """The input of a program that has been started; None when its stdin is /dev/null."""
        if streams.input is None:
            return None
        loop = asyncio.get_running_loop()
        if streams.is_terminal:
            os.set_blocking(streams.input, False)
            protocol = cls(is_terminal=True)
            TerminalWriter(loop, streams.input, protocol)
            return protocol
        sink = os.fdopen(streams.input, "wb", buffering=0)
        made = await loop.connect_write_pipe(lambda: cls(is_terminal=False), sink)
        return made[1]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._closed()

    def when_closed(self, call: Callable[[], object]) -> None:
        """Have this called when the program can read nothing more from us."""
        self._closed = call

    @property
    def is_closed(self) -> bool:
        """Whether the program can read nothing more from us."""
        return self._transport is None or self._transport.is_closing()

    def fileno(self) -> int:
        """Our end of it, which must not be closed."""
        assert self._transport is not None  # noqa: S101
        pipe = self._transport.get_extra_info("pipe")
        return pipe if isinstance(pipe, int) else int(pipe.fileno())

    def tell(self, text: bytes) -> None:
        """Write one line, as soon as the program reads. Raises InputRefused when that cannot be."""
        if self._transport is None or self.is_closed:
            raise InputRefused("its stdin is closed")
        waiting = self._transport.get_write_buffer_size()
        if waiting + len(text) + 1 > INPUT_LIMIT:
            raise InputRefused(f"it does not read its stdin: {waiting} bytes wait for it already, and no more than {INPUT_LIMIT} may")
        if self._is_terminal and max(map(len, text.split(b"\n"))) > _TERMINAL_LINE and self._collects_lines():
            raise InputRefused(f"its terminal takes lines of at most {_TERMINAL_LINE} bytes")
        self._transport.write(text + b"\n")

    def close(self) -> None:
        """Let the program read the end of its input, after what waits for it."""
        if self._transport is None or self.is_closed:
            return
        if self._is_terminal:
            # Closing our end would hang up the terminal, and lose what is still printed there.
            self._transport.write(_END_OF_FILE)
        else:
            self._transport.close()
            self._closed()

    def _collects_lines(self) -> bool:
        assert self._transport is not None  # noqa: S101
        return bool(termios.tcgetattr(self._transport.get_extra_info("pipe"))[3] & termios.ICANON)
