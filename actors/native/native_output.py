"""Where the output of a native agent goes: to its log, line by line; what C code and child processes write goes there as it is."""

import asyncio
import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..base.log_sink import log_stream_on, log_to
from ..output.line_splitter import LineSplitter
from ..output.output_log import OutputLog
from ..output.raw_output import RawOutput
from ..output.redaction import Redactor, redact_logging
from ..output.standing_line import StandingLine

_OWN_STDOUT = Path("/proc/self/fd/1")


class NativeOutput:
    """The output of this process, which is the agent's from `redirect` to `close`; `count` is called with how many bytes it prints."""

    def __init__(self, log: OutputLog, redactor: Redactor, count: Callable[[int], None]) -> None:
        self._log = log
        self._redactor = redactor
        self._count = count
        self._raw: tuple[RawOutput, ...] = ()
        self._is_redirected = False

    def redirect(self) -> None:
        """From now on it goes to the log; what the actor itself logs still goes where it went."""
        log_to(log_stream_on(os.dup(2)))
        for descriptor in (1, 2):
            self._log.redirect(descriptor)
        self._is_redirected = True
        with contextlib.suppress(OSError):  # there is no log at present
            self._raw = (RawOutput(_OWN_STDOUT, self._redactor, os.fstat(1).st_size),)
        redact_logging(self._redactor)
        sys.stdout, sys.stderr = (_log_stream(self._log, stream, self._count) for stream in ("out", "err"))

    def look(self) -> None:
        """Take in what was written past us."""
        if not self._is_redirected:
            return
        self._log.make_again()
        with contextlib.suppress(OSError):  # as everywhere: a fault of its log harms no agent
            if not self._raw or not self._raw[-1].reads(1):
                # The log has rotated; child processes that were started before go on writing to the old file.
                self._raw = (*self._raw[-1:], RawOutput(_OWN_STDOUT, self._redactor, 0))
        for raw in self._raw:
            with contextlib.suppress(OSError):
                raw.look()

    def close(self) -> None:
        """Keep what was printed without a newline at its end, too."""
        sys.stdout.close()
        sys.stderr.close()


def _log_stream(log: OutputLog, stream: str, count: Callable[[int], None]) -> io.TextIOWrapper:
    """A text stream, as `sys.stdout` is one, that keeps what is written to it in an agent's log; for code on the running loop."""
    return io.TextIOWrapper(_LogWriter(log, stream, count), encoding="utf-8", errors="backslashreplace", write_through=True)


class _LogWriter(io.BufferedIOBase):
    name = "agent log"

    def __init__(self, log: OutputLog, stream: str, count: Callable[[int], None]) -> None:
        self._count = count
        self._descriptor = {"out": 1, "err": 2}[stream]
        self._splitter = LineSplitter(log, stream)
        self._standing = StandingLine(self._splitter, asyncio.get_running_loop())

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        self._count(len(data))
        self._splitter.feed(bytes(data))
        self._standing.watch()
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._standing.close()
            self._splitter.close()
        super().close()
