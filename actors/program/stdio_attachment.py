"""A conversation with a program over its stdin and stdout: one client at a time has our ends of them.

The client reads and writes there itself: nothing stands between it and the program. It sends the actor a copy of what it has read, for the
log, for limits, and for the agent's own word.
"""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from ..errors import InputRefused
from ..kernel.peers import is_owner, peer_of
from ..kernel.private_files import bind_private, remove_private
from ..output.output_reader import OutputReader
from .attached_client import AttachedClient
from .attachment_frames import Word, send_ends
from .program_input import ProgramInput

_KEPT = 64 * 1024
"""So much of what a program prints before the first client is kept for that client."""
_COME_WITHIN = 10.0
_READ_WITHIN = 1.0
"""So long a client has to read the rest of what a program that has ended printed; then the actor reads it, for the log."""
_END_WITHIN = 1.0
"""A program that ends closes its outputs a moment before the kernel says that the program has ended."""


class StdioAttachment:
    """What of one program belongs to the client that is attached to it.

    A client connects to a socket in `folder`, which is made for one connection. What the program printed before its first client comes
    first, if it is at most 64 KiB; else, and for each further client, the conversation begins with the next line that the program begins.
    """

    def __init__(self, folder: str, program: ProgramInput, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        self._folder = folder
        self._input = program
        self._spawn = spawn
        self._output: OutputReader | None = None
        self._client: AttachedClient | None = None
        self._expecting: asyncio.Task[None] | None = None
        self._handed_back = asyncio.Event()
        self._handed_back.set()
        self._before: bytearray | None = bytearray()
        """What the program has printed so far, as long as the first client is to have it."""
        self._in_line = False
        """Whether the program has begun a line and not ended it."""
        self._ends_input = False
        program.when_closed(self._input_is_closed)

    def begin(self, output: OutputReader) -> None:
        """This reads what the program prints."""
        self._output = output

    @property
    def is_attached(self) -> bool:
        """Whether the input of the program is a client's now."""
        return self._client is not None

    def offer(self) -> str:
        """The path of a socket that waits, for some seconds, for a client to connect. Raises InputRefused."""
        if self._client is not None or self._expecting is not None:
            raise InputRefused("another client is attached to its stdin and stdout")
        if self._input.is_closed or self._output is None or self._output.ended.done():
            raise InputRefused("its stdin or stdout is closed")
        listener = self._listener()
        self._expecting = self._spawn(self._expect(listener))
        return str(self._path)

    def heard(self, data: bytes) -> None:
        """The program has printed this."""
        self._in_line = not data.endswith(b"\n")
        if self._before is not None:
            if self._client is None and len(self._before) + len(data) <= _KEPT:
                self._before += data
            else:
                self._before = None

    def end_input_after_client(self) -> None:
        """When the client has gone, the program reads the end of its input."""
        self._ends_input = True

    async def watch_end_of_output(self, has_ended: asyncio.Event) -> None:
        """When the program has closed its output, and goes on without, the client is to know."""
        assert self._output is not None  # noqa: S101
        await self._output.ended
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_WITHIN):
                await has_ended.wait()
                return
        if self._client is not None:
            self._client.say(Word.GOES_ON)

    async def program_has_ended(self) -> None:
        """Let the client read what the program printed last; return when the output is the actor's again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READ_WITHIN):
                await self._handed_back.wait()
        self._hold_output(held=False)

    def close(self) -> None:
        """Nothing of the incarnation is left: the client reads that nobody is there."""
        if self._expecting is not None:
            self._expecting.cancel()
            # What is cancelled now may not run again before the actor exits.
            self._remove_socket()
        if self._client is not None:
            self._client.close()

    def _listener(self) -> socket.socket:
        path = self._path = Path(self._folder) / f"stdio-{secrets.token_hex(4)}"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            bind_private(listener, path)
            listener.listen(1)
        except OSError as error:
            listener.close()
            raise InputRefused(f"no socket can be made for its stdin and stdout: {error.strerror}") from None
        return listener

    def _remove_socket(self) -> None:
        with contextlib.suppress(OSError):
            remove_private(self._path)

    async def _expect(self, listener: socket.socket) -> None:
        try:
            async with asyncio.timeout(_COME_WITHIN):
                connection = await _connected(listener)
        except (TimeoutError, OSError):
            return
        finally:
            self._expecting = None
            listener.close()
            self._remove_socket()
        await self._attach(connection)

    async def _attach(self, connection: socket.socket) -> None:
        client = AttachedClient(self._hear, self._client_is_gone)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: client, connection)
        if client.is_gone or self._input.is_closed or self._output is None or self._output.ended.done():
            client.close()
            return
        self._hold_output(held=True)
        self._handed_back.clear()
        self._client = client
        before, self._before = self._before, None
        ends = [self._input.fileno(), self._output.fileno()]
        try:
            send_ends(connection, ends, bytes(before or b""), in_line=before is None and self._in_line)
        except OSError:
            client.close()

    def _hear(self, word: int, said: bytes) -> None:
        match word:
            case Word.PRINTED:
                if self._output is not None and not self._output.ended.done():
                    self._output.data_received(said)
            case Word.OUTPUT_ENDED:
                self._hand_back()
            case Word.END_INPUT:
                self._input.close()

    def _client_is_gone(self) -> None:
        self._client = None
        self._hand_back()
        if self._ends_input:
            self._input.close()

    def _hand_back(self) -> None:
        self._handed_back.set()
        self._hold_output(held=False)

    def _hold_output(self, *, held: bool) -> None:
        if self._output is not None:
            self._output.hold(held=held)

    def _input_is_closed(self) -> None:
        if self._client is not None:
            self._client.say(Word.INPUT_ENDED)


async def _connected(listener: socket.socket) -> socket.socket:
    """The first connection of our own user."""
    while True:
        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        with contextlib.suppress(OSError):
            if is_owner(peer_of(connection)):
                return connection
        connection.close()
