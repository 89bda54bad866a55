"""What one incarnation may use at most, and who notices that it used more."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from ..kernel.linux import with_descendants
from ..spec.agent_spec import LimitSpec

_SAMPLE_EVERY = 1.0
_PAGE = os.sysconf("SC_PAGE_SIZE")


def size(count: float) -> str:
    """A number of bytes, for people."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"


def memory_of(pid: int) -> int:
    """Bytes of memory that a process and its descendants hold, shared pages once for each."""
    return sum(map(_resident, with_descendants(pid)))


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    return 0


class Limits:
    """Watches one incarnation, and says at most once what it exceeded."""

    def __init__(self, spec: LimitSpec, exceeded: Callable[[str], None]) -> None:
        self._spec = spec
        self._exceeded = exceeded
        self._output = 0
        self._extended_until = 0.0
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def begin(self, pid: int, *, kernel_limits_memory: bool) -> None:
        """Begin to watch a program; its memory only where the kernel does not."""
        loop = asyncio.get_running_loop()
        if self._spec.max_runtime is not None:
            self._timers["runtime"] = loop.call_later(self._spec.max_runtime, self._runtime_is_over, self._spec.max_runtime)
        if self._spec.memory_max is not None and not kernel_limits_memory:
            self._sample(pid, self._spec.memory_max)

    def count_output(self, count: int) -> None:
        """It wrote so many bytes."""
        self._output += count
        most = self._spec.max_output
        if most is not None and self._output > most:
            self._say(f"it wrote more than its max_output of {size(most)}")

    @property
    def output(self) -> int:
        """How many bytes it has written."""
        return self._output

    def extend(self, until: float) -> None:
        """Let it run until then, in the loop's seconds, if that is longer than its max_runtime."""
        self._extended_until = until

    def end(self) -> None:
        """It has ended."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _runtime_is_over(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if self._extended_until > loop.time():
            self._timers["runtime"] = loop.call_at(self._extended_until, self._runtime_is_over, seconds)
        else:
            self._say(f"it ran longer than its max_runtime of {seconds:g} s")

    def _sample(self, pid: int, most: int) -> None:
        used = memory_of(pid)
        if used > most:
            self._say(f"it used {size(used)} of memory, more than its memory_max of {size(most)}")
        else:
            self._timers["memory"] = asyncio.get_running_loop().call_later(_SAMPLE_EVERY, self._sample, pid, most)

    def _say(self, what: str) -> None:
        exceeded, self._exceeded = self._exceeded, lambda _what: None
        exceeded(what)
