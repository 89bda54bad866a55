"""The stdin and stdout of an agent's program, as a reader and a writer of asyncio."""

import asyncio
import contextlib
import fcntl
import os
import socket
import sys
import termios
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, cast

from suptree.actors import AgentStatus
from suptree.actors.errors import AccessRefused, AgentEnded, InputRefused, NotRunning
from suptree.actors.events.picture import is_alive
from suptree.actors.kernel.peers import is_owner, peer_of
from suptree.actors.program.attachment_frames import Frames, Word, frame, receive_ends

from ..own_tree.mirror import Mirror
from .two_brakes import TwoBrakes

LIMIT = 16 * 1024 * 1024
_BLOCK = 64 * 1024
_COPY_AFTER = 0.02
_CONNECT_WITHIN = 10.0
_EXPLAINED_WITHIN = 10.0
_FLUSH_WITHIN = 5.0
_DIES_WITHIN = 1.0
"""Where the actor was killed, its program may live and print for a moment longer."""
_TRIES = 3


class StdioReader(asyncio.StreamReader):
    """What a program writes to its stdout, byte for byte; when its incarnation has ended and all was read, each method raises AgentEnded.

    A program that closes its stdout and goes on is read to its end, as any stream: `b""`.
    """

    def __init__(self, actor: "ActorLink", limit: int) -> None:
        super().__init__(limit=limit)
        self._actor = actor

    async def read(self, n: int = -1) -> bytes:
        """At most `n` bytes as soon as there are some; with -1 everything to the end."""
        if n >= 0:
            return await super().read(n) or (b"" if n == 0 else await self._end())
        blocks = []
        while block := await super().read(_BLOCK):
            blocks.append(block)
        return b"".join(blocks) or await self._end()

    async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]  # 3.13 takes several
        """All up to a separator, and that. At the end of the stream IncompleteReadError, with what came after the last one."""
        try:
            return await super().readuntil(separator)
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                await self._end()
            raise

    async def readexactly(self, n: int) -> bytes:
        """Exactly `n` bytes. At the end of the stream IncompleteReadError, with those that came."""
        try:
            return await super().readexactly(n)
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                await self._end()
            raise

    async def _end(self) -> bytes:
        """Nothing, where the program goes on without its stdout. Raises AgentEnded where it does not."""
        if not await self._actor.goes_on():
            raise await self._actor.end()
        return b""


class StdioWriter(asyncio.StreamWriter):
    """What the program reads from its stdin; `write_eof` ends it. `drain` raises AgentEnded when the program reads no more."""

    def __init__(self, transport: asyncio.WriteTransport, protocol: asyncio.StreamReaderProtocol, reader: StdioReader, actor: "ActorLink"):
        super().__init__(transport, protocol, reader, asyncio.get_running_loop())
        self._actor = actor

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write this when the program reads; where that has ended nothing is written, and `drain` says so."""
        # Of asyncio's own a closed transport takes it and drops it, of others it raises.
        if not self.transport.is_closing():
            super().write(data)

    def writelines(self, data: Iterable[bytes | bytearray | memoryview]) -> None:
        """The same for several pieces."""
        self.write(b"".join(data))

    def write_eof(self) -> None:
        """End the input of the program, after what was written."""
        if not self.transport.is_closing():
            super().write_eof()
        self._actor.end_input()

    async def drain(self) -> None:
        """Wait until the program has read enough of what was written."""
        try:
            await super().drain()
        except ConnectionError:
            raise await self._actor.end() from None
        if self._actor.is_gone:
            raise await self._actor.end()


class ActorLink(asyncio.Protocol):
    """The connection to the actor of the program, and what the tree knows of this incarnation."""

    def __init__(self, mirror: Mirror, agent_id: str, incarnation: int) -> None:
        self._mirror = mirror
        self._id = agent_id
        self._incarnation = incarnation
        self._frames = Frames()
        self._lets_go: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._exit: dict[str, Any] | None = None
        self._printed = bytearray()
        self._copying: asyncio.TimerHandle | None = None
        self._watching = asyncio.create_task(self._watch())
        self._is_left = False
        self.input: asyncio.WriteTransport | None = None
        self.output: TwoBrakes | None = None
        self.output_is_nobodys: Callable[[], None] = lambda: None
        """Called when the incarnation has ended: what is written to its output from now on is not its own."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for word, _ in self._frames.of(data):
            if word == Word.INPUT_ENDED and self.input is not None:
                self.input.close()
            elif word == Word.GOES_ON:
                self._settle(True)

    def connection_lost(self, _error: Exception | None) -> None:
        self._lost.set_result(None)
        self._settle(False)
        if self.input is not None:
            # What waits there is not waited for: another process may hold the reading end open, and read nothing.
            end = self.input.abort if self.input.get_write_buffer_size() else self.input.close
            end()
        if self.output is not None:
            asyncio.get_running_loop().call_later(_DIES_WITHIN, self.output_is_nobodys)

    def pause_writing(self) -> None:
        if self.output is not None:
            self.output.hold(held=True)

    def resume_writing(self) -> None:
        if self.output is not None:
            self.output.hold(held=False)

    def printed(self, data: bytes) -> None:
        """The program printed this; the log is to have it, a moment later: a log line costs as much as an answer of a quick program."""
        self._printed += data
        if self._copying is None:
            self._copying = asyncio.get_running_loop().call_later(_COPY_AFTER, self._copy)
        if len(self._printed) > _BLOCK:
            self._copy()

    def output_ended(self) -> None:
        """The output of the program was read to its end."""
        self._copy()
        self._say(Word.OUTPUT_ENDED)

    def end_input(self) -> None:
        """The program is to read the end of its input, for which the actor closes its end too."""
        self._say(Word.END_INPUT)

    @property
    def is_gone(self) -> bool:
        """Whether the incarnation has ended, or its actor has."""
        return self._lost.done()

    async def goes_on(self) -> bool:
        """Whether the incarnation goes on without its stdout; the actor knows within a second or so."""
        return await asyncio.shield(self._lets_go)

    async def end(self) -> AgentEnded | InputRefused:
        """The error that says how the incarnation ended, that it reads no more, or that the client has left it."""
        if self._is_left:
            return InputRefused(f"this conversation with {self._id!r} is over: begin another with stdio()")
        await asyncio.wait({self._watching}, timeout=_EXPLAINED_WITHIN)
        how = self._exit
        if how is None:
            return AgentEnded(f"{self._id!r} (incarnation {self._incarnation}) reads its stdin no longer", self._incarnation)
        return AgentEnded(f"{self._id!r} (incarnation {self._incarnation}) ended: {how['class']} ({how['reason']})", self._incarnation, how)

    async def leave(self) -> None:
        """Leave the program to its actor; return when the actor knows."""
        self._is_left = True
        self._watching.cancel()
        self._copy()
        if not self._transport.is_closing():
            self._transport.write_eof()
            await asyncio.wait({self._lost}, timeout=_CONNECT_WITHIN)
        self._transport.close()

    def _copy(self) -> None:
        if self._copying is not None:
            self._copying.cancel()
            self._copying = None
        if self._printed:
            self._say(Word.PRINTED, bytes(self._printed))
            self._printed.clear()

    def _say(self, word: Word, data: bytes = b"") -> None:
        """To the actor, while there is one."""
        if not self._transport.is_closing():
            self._transport.write(frame(word, data))

    def _settle(self, goes_on: bool) -> None:
        if not self._lets_go.done():
            self._lets_go.set_result(goes_on)

    async def _watch(self) -> None:
        with contextlib.suppress(NotRunning):
            await self._mirror.until(self._has_ended)

    def _has_ended(self) -> bool:
        row = self._mirror.picture.rows.get(self._id)
        ended = row is None or row["incarnation"] > self._incarnation or not is_alive(row)
        if ended and row is not None and self._exit is None:
            self._exit = row["last_exit"]
        return ended


class _Output(asyncio.StreamReaderProtocol):
    """Feeds the reader, and then sends the actor its copy."""

    def __init__(self, reader: StdioReader, actor: ActorLink, *, in_line: bool) -> None:
        super().__init__(reader)
        self._to_reader = reader
        self._actor = actor
        self._in_line = in_line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The reader pauses when its client does not read, and the link when the actor does not.
        self._pipe = self._actor.output = TwoBrakes(cast(asyncio.ReadTransport, transport))
        self._actor.output_is_nobodys = self._end
        super().connection_made(self._pipe)

    def _end(self) -> None:
        """Read what is there, and no end: another process of the same user may hold the output open, write there, or read there too."""
        if self._pipe.is_closing():
            return
        pipe = self._pipe.get_extra_info("pipe")
        left = int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
        with contextlib.suppress(BlockingIOError):
            while left and (data := os.read(pipe.fileno(), left)):
                left -= len(data)
                self.data_received(data)
        self._pipe.close()

    def data_received(self, data: bytes) -> None:
        said = data
        if self._in_line:
            _, newline, said = data.partition(b"\n")
            self._in_line = not newline
        if said:
            self._to_reader.feed_data(said)
        self._actor.printed(data)

    def eof_received(self) -> bool | None:
        self._actor.output_ended()
        return super().eof_received()


class _Ends(NamedTuple):
    """What an actor handed over."""

    connection: socket.socket
    stdin: int
    stdout: int
    before: bytes
    in_line: bool


def _take(path: Path) -> _Ends:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(_CONNECT_WITHIN)
        connection.connect(str(path))
        _check(connection, path)
        ends = _Ends(connection, *receive_ends(connection))
        connection.setblocking(False)
    except BaseException:
        connection.close()
        raise
    return ends


def _check(connection: socket.socket, path: Path) -> None:
    if not is_owner(peer_of(connection)):
        raise AccessRefused(f"another user listens at {path}")


@contextlib.asynccontextmanager
async def stdio(
    mirror: Mirror,
    agent_id: str,
    *,
    limit: int,
    timeout: float,  # noqa: ASYNC109
) -> AsyncGenerator[tuple[StdioReader, StdioWriter], None]:
    """A conversation with an agent's program; see `ProcessManager.stdio`."""
    ends, incarnation = await _attached(mirror, agent_id, timeout)
    loop = asyncio.get_running_loop()
    actor = ActorLink(mirror, agent_id, incarnation)
    await loop.create_unix_connection(lambda: actor, sock=ends.connection)
    reader = StdioReader(actor, limit)
    if ends.before:
        reader.feed_data(ends.before)
    source, sink = os.fdopen(ends.stdout, "rb", buffering=0), os.fdopen(ends.stdin, "wb", buffering=0)
    output, _ = await loop.connect_read_pipe(lambda: _Output(reader, actor, in_line=ends.in_line), source)
    actor.input, protocol = await loop.connect_write_pipe(lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), sink)
    writer = StdioWriter(actor.input, protocol, reader, actor)
    try:
        yield reader, writer
    finally:
        output.close()
        try:
            await _flushed(writer)
        finally:
            await actor.leave()


async def _flushed(writer: StdioWriter) -> None:
    """Close a writer, after what was written, as far as the program reads it within some seconds."""
    writer.close()
    try:
        async with asyncio.timeout(_FLUSH_WITHIN):
            await writer.wait_closed()
    except TimeoutError:
        writer.transport.abort()
    except OSError:
        return
    except BaseException:
        writer.transport.abort()
        raise


async def _attached(mirror: Mirror, agent_id: str, timeout: float) -> tuple[_Ends, int]:  # noqa: ASYNC109
    """The ends of the program of an agent that runs, and its incarnation. Raises RequestTimeout after `timeout` seconds, InputRefused."""
    deadline, lost = time.monotonic() + timeout, 0
    while True:
        await mirror.status_reached(agent_id, AgentStatus.RUNNING, max(deadline - time.monotonic(), 0.0))
        before = mirror.picture.rows[agent_id]["incarnation"]
        try:
            async with mirror.up_to_date():
                path, incarnation = await mirror.client.attach(agent_id)
            return await asyncio.to_thread(_take, path), incarnation
        except InputRefused:
            row = mirror.picture.rows.get(agent_id)
            if row is not None and row["incarnation"] == before and row["status"] == AgentStatus.RUNNING:
                raise
        except (OSError, EOFError) as error:
            # It has ended, or closed its stdin or stdout, since it took us.
            lost += 1
            if lost == _TRIES:
                raise InputRefused(f"{agent_id!r} took no client: the connection to its actor was lost ({error!r})") from None
