"""What one incarnation may use at most, and who notices that it used more."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from ..base.deadlines import Deadline, Deadlines
from ..exits import CauseId
from ..kernel.linux import with_descendants
from ..kernel.turns import Turns
from ..spec.agent_spec import LimitSpec

_SAMPLE_EVERY = 1.0
_RESTS_FOR = 4
_LONGEST_LOOK = 10.0
"""Seconds of work until what was not looked at yet counts as if it shared nothing: a program can make that work as long as it likes."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


def size(count: float) -> str:
    """A number of bytes, for people."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"


def memory_of(*pids: int) -> int:
    """Bytes of memory of processes and their descendants; what several share counts once (the kernel's PSS, proportional set size)."""
    return sum(map(_proportional, with_descendants(*pids)))


def resident_memory_of(*pids: int) -> int:
    """The same, with what they share counted for each of them: never less, and found out at a hundredth of the cost."""
    return sum(map(_resident, with_descendants(*pids)))


async def _at_most(memory: int, pids: list[int]) -> int | None:
    """None where processes and their descendants use no more than that, else how much."""
    if resident_memory_of(*pids) <= memory:
        return None
    # As many processes as they like may share one memory, with a table of pages that takes long to be looked at.
    turns, used = Turns(rests_for=_RESTS_FOR), 0
    for pid in with_descendants(*pids):
        used += _proportional(pid) if turns.worked < _LONGEST_LOOK else _resident(pid)
        await turns.rest()
    return used if used > memory else None


def this_process() -> list[int]:
    """What a native agent consists of, but for descendants: its actor's process."""
    return [os.getpid()]


def _resident(pid: int) -> int:
    return _pages(Path(f"/proc/{pid}")) or _pages(_living_thread(pid))


def _pages(task: Path) -> int:
    with contextlib.suppress(OSError, IndexError):
        return int((task / "statm").read_bytes().split()[1]) * _PAGE
    return 0


def _living_thread(pid: int) -> Path:
    """The folder of a thread in /proc: where the first thread of a process has ended, the others alone show its memory."""
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            if _pages(thread):
                return thread
    return Path(f"/proc/{pid}")


def _proportional(pid: int) -> int:
    task = Path(f"/proc/{pid}")
    try:
        for line in ((task if _pages(task) else _living_thread(pid)) / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except PermissionError:
        # It has gained privileges that we lack: only root may look closer.
        return _resident(pid)
    except OSError:
        pass
    return 0


class UsageLimits:
    """Watches one incarnation, and says at most once what it exceeded.

    `deadlines` are those of the incarnation: the time that its program asks for puts off the end of its `max_runtime` too.
    """

    def __init__(self, spec: LimitSpec, exceeded: Callable[[CauseId, str], None], deadlines: Deadlines | None = None) -> None:
        self._spec = spec
        self._exceeded = exceeded
        self._deadlines = deadlines
        self._output = 0
        self._runtime: Deadline | None = None
        self._sampling: asyncio.Task[None] | None = None

    def begin(self, processes: Callable[[], list[int]], *, held: frozenset[str] = frozenset()) -> None:
        """Begin to watch processes and what descends from them; what the kernel holds (`Cgroup.held`) is not looked at.

        Of a program these are all children of its actor: what the program has left behind by forking twice is among them.
        """
        if self._spec.max_runtime is not None:
            deadlines = self._deadlines or Deadlines(asyncio.get_running_loop())
            self._runtime = deadlines.set(self._spec.max_runtime, partial(self._runtime_is_over, self._spec.max_runtime))
        memory = None if "memory" in held else self._spec.memory_max
        pids = None if "pids" in held else self._spec.pids_max
        if (memory, pids) != (None, None):
            self._begin_to_sample(partial(self._sample, processes, memory, pids))

    def count_output(self, count: int) -> None:
        """It wrote so many bytes."""
        self._output += count
        most = self._spec.max_output
        if most is not None and self._output > most:
            self._say(CauseId.OUTPUT, f"it wrote more than its max_output of {size(most)}")

    @property
    def output(self) -> int:
        """How many bytes it has written."""
        return self._output

    def end(self) -> None:
        """It has ended."""
        sampling, self._sampling = self._sampling, None
        for watch in (self._runtime, sampling):
            if watch is not None:
                watch.cancel()

    def _runtime_is_over(self, seconds: float) -> None:
        self._say(CauseId.RUNTIME, f"it ran longer than its max_runtime of {seconds:g} s")

    def _begin_to_sample(self, sample: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._sampling = asyncio.get_running_loop().create_task(sample())
        self._sampling.add_done_callback(partial(self._sampled, sample))

    def _sampled(self, sample: Callable[[], Coroutine[Any, Any, None]], sampling: asyncio.Task[None]) -> None:
        if not sampling.cancelled():
            # An error in it is one of ours, and is to be heard of.
            sampling.result()
        elif self._sampling is sampling:
            # By the code of a native agent, which cancels every task that it finds.
            self._begin_to_sample(sample)

    async def _sample(self, processes: Callable[[], list[int]], memory: int | None, pids: int | None) -> None:
        while True:
            found = processes()
            if memory is not None and (used := await _at_most(memory, found)) is not None:
                self._say(CauseId.MEMORY, f"it used {size(used)} of memory, more than its memory_max of {size(memory)}")
                return
            if pids is not None and (alive := len(with_descendants(*found))) > pids:
                self._say(CauseId.PROCESSES, f"it had {alive} processes, more than its pids_max of {pids}")
                return
            await asyncio.sleep(_SAMPLE_EVERY)

    def _say(self, cause: CauseId, what: str) -> None:
        exceeded, self._exceeded = self._exceeded, lambda _cause, _what: None
        exceeded(cause, what)
