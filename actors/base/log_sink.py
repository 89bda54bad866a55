"""Where the launcher and every actor log: a stream that never raises and never waits, even when the file behind it is full or gone."""

import io
import json
import logging
import os
import select
import stat
import sys
from typing import Any

import structlog

_CHUNK = select.PIPE_BUF
_NEWLINE = ord("\n")


class LogSink(io.RawIOBase):
    """Writes to a descriptor. What a full disk, a reader that is gone or a full pipe refuses is lost, and counted.

    The first write that succeeds after a loss begins with a JSON line: `{"event": "log_writes_lost", "writes": COUNT}`.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lost = 0
        self._in_a_line = False

    def fileno(self) -> int:
        """The descriptor behind it."""
        return self._descriptor

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Write as much as can be written; report all of it as written."""
        text = bytes(data)
        notice = json.dumps({"event": "log_writes_lost", "level": "warning", "writes": self._lost}).encode() + b"\n" if self._lost else b""
        # A line that could be written only in part is ended first.
        before = (b"\n" if self._in_a_line and self._lost else b"") + notice
        if self._write_all(before + text):
            self._lost = 0
        else:
            self._lost += 1
        return len(text)

    def _write_all(self, data: bytes) -> bool:
        """Whether everything was written."""
        left = memoryview(data)
        try:
            # A pipe that says it has room takes this many bytes without waiting; a file always has room, or an error.
            chunk = len(data) if stat.S_ISREG(os.fstat(self._descriptor).st_mode) else _CHUNK
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            while left and poll.poll(0):
                written = os.write(self._descriptor, left[:chunk])
                self._in_a_line = left[written - 1] != _NEWLINE
                left = left[written:]
        except (OSError, ValueError):
            pass
        return not left


def log_stream_on(descriptor: int) -> io.TextIOWrapper:
    """A text stream on a descriptor that never raises and never waits."""
    sink: Any = LogSink(descriptor)
    return io.TextIOWrapper(sink, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def log_to(stream: io.TextIOWrapper) -> None:
    """Have structlog, and what logs without a handler of its own, write there."""
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(stream))


def begin_logging() -> None:
    """Have this process, and all that it forks, log JSON lines to standard error; nothing that it writes there raises from now on."""
    _open_closed_descriptors()
    sys.stdout, sys.stderr = log_stream_on(1), log_stream_on(2)
    # logging reports its own failures on standard error.
    logging.raiseExceptions = False
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def _open_closed_descriptors() -> None:
    """What is opened next would get the number of a standard stream that is closed, and what is logged would be written to it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
