"""Printing while nobody may read: a full pipe, or a terminal that somebody stopped (Ctrl-S), holds up the printing and nothing else."""

import contextlib
import io
import os
import queue
import select
import sys
import threading
from typing import TYPE_CHECKING, TextIO

from suptree.actors.output.printable import printable_lines

from .screen import say

if TYPE_CHECKING:
    import asyncio

_MOMENT = 500
"""Milliseconds."""

_Job = tuple[bytes, "asyncio.Future[None]"]


class Printer:
    """Prints to stdout in a thread of its own, which may wait for a reader; the event loop, and so each signal, never does."""

    def __init__(self) -> None:
        self._descriptor = _descriptor(sys.stdout)
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        # A daemon: a program that ends does not wait for a reader.
        threading.Thread(target=self._work, name="prints", daemon=True).start()

    async def say(self, text: str) -> None:
        """Print a text of one line or several, and return when stdout has taken all of it. Raises OSError as a write does."""
        if self._descriptor is None:
            say(text)
            return
        from asyncio import get_running_loop  # noqa: PLC0415  (it takes half as long as all else that a command imports)

        content = _bytes(text, sys.stdout)
        printed: asyncio.Future[None] = get_running_loop().create_future()
        self._jobs.put((content, printed))
        await printed

    def _work(self) -> None:
        while True:
            content, printed = self._jobs.get()
            failure: OSError | None = None
            try:
                # Not by the stream: a program that ends waits for the lock of its buffer.
                self._write(content)
            except OSError as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                printed.get_loop().call_soon_threadsafe(_conclude, printed, failure)

    def _write(self, content: bytes) -> None:
        assert self._descriptor is not None  # noqa: S101  (else nothing is given to the thread)
        while content:
            try:
                content = content[os.write(self._descriptor, content) :]
            except BlockingIOError:  # the program that gave us stdout may have made it so
                select.select([], [self._descriptor], [])


def say_if_read(text: str, *, err: bool = False) -> None:
    """Print a text unless that would wait for a reader for more than a moment, or fails: it is a last word, and no client is left."""
    stream = sys.stderr if err else sys.stdout
    descriptor = _descriptor(stream)
    if descriptor is None:
        say(text, err=err)
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if poll.poll(_MOMENT):
        # Not by the stream, which would try again at the end of Python.
        with contextlib.suppress(OSError):
            os.write(descriptor, _bytes(text, stream))


def _bytes(text: str, stream: TextIO) -> bytes:
    return f"{printable_lines(text)}\n".encode(stream.encoding, "backslashreplace")


def _descriptor(stream: TextIO) -> int | None:
    """The descriptor of a stream, None where there is none."""
    try:
        return stream.fileno()
    except io.UnsupportedOperation:
        return None


def _conclude(printed: "asyncio.Future[None]", failure: OSError | None) -> None:
    if printed.done():  # who printed did not wait
        return
    if failure is None:
        printed.set_result(None)
    else:
        printed.set_exception(failure)
