"""What is found at the end of an incarnation, before it is buried."""

import os
import resource
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..kernel.linux import children_of, own_children, users_of
from ..kernel.private_files import open_to_read
from ..kernel.process_texts import command_line
from ..output.last_words import LINES, Said, in_order, new_tails
from ..output.newest_part import end_of
from ..output.output_log import ENTRY, rotated_path
from ..output.redaction import Redactor

_REASON_WIDTH = 1000
_VALUE_WIDTH = 200
_VARIABLES = 200
_COMMAND_WIDTH = 300
_COPY_GROWS = 2 * 1024 * 1024
_SWEPT_SHOWN = 50
SWEPT_KEPT = 1000
_READ_AT_END = 256 * 1024


@dataclass(frozen=True, slots=True)
class Swept:
    """A process that an agent had left behind, and that was ended."""

    pid: int
    command: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What an incarnation has used: CPU time of all its processes, in seconds, and memory at its peak, in bytes.

    The peak is that of the control group where the kernel counts one, or else that of the process that held the most memory; None where
    neither is known.
    """

    peak_memory: int | None
    cpu_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is kept of an end. Everything is redacted, and bounded.

    `said` is what was said last, in the order of time; `out` and `err` are the same by stream, as the log has it. `notes` are facts that
    the exit does not tell, a sentence each. `from_log` says that the actor left no last word: the lines come from the agent's log, and
    what only the actor knew is missing.
    """

    said: tuple[Said, ...] = ()
    out: tuple[str, ...] = ()
    err: tuple[str, ...] = ()
    usage: Usage | None = None
    swept: tuple[Swept, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    from_log: bool = False
    notes: tuple[str, ...] = ()


def bounded_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment is kept as evidence."""
    return {name: _cut(value, _VALUE_WIDTH) for name, value in list(environment.items())[:_VARIABLES]}


def said_as_evidence(said: Sequence[Said]) -> dict[str, Any]:
    """The fields of Evidence that hold what was said last."""
    lines = {stream: tuple(each.marked for each in said if (each.source == "out") == (stream == "out")) for stream in ("out", "err")}
    return {"said": tuple(said), "out": lines["out"][-LINES:], "err": lines["err"][-LINES:]}


def shortened(text: str, width: int = _REASON_WIDTH) -> str:
    """A reason that is not too long to be shown: an exception may hold megabytes."""
    return _cut(text, width)


def usage_of_this_process() -> Usage:
    """What a native agent has used: its process is this one."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(own.ru_maxrss * 1024, _cpu_time(own))


def usage_of_children(group_peak: int | None = None) -> Usage:
    """What the descendants have used that ended and were waited for; `group_peak` is what their control group counted."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The kernel counts what a program was before it was executed too: a copy of this process, and a little more.
    copy = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + _COPY_GROWS
    largest = used.ru_maxrss * 1024
    return Usage(group_peak if group_peak is not None else largest if largest > copy else None, _cpu_time(used))


def _cpu_time(used: resource.struct_rusage) -> float:
    return round(used.ru_utime + used.ru_stime, 3)


class SweptLog:
    """Notes the command line of each process before it is swept; afterwards nobody knows it.

    Of a process of another user the name alone, which the kernel keeps: a command line is memory of the process, and a reader waits for as
    long as the process keeps its memory locked.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._noted: dict[int, Swept] = {}
        self._more = 0

    @property
    def swept(self) -> tuple[Swept, ...]:
        """The processes that were noted, no more than SWEPT_KEPT of them: an agent leaves behind as many as it likes."""
        return tuple(self._noted.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """How many more there were, if there were any."""
        return (f"it left behind {self._more} more processes, which were ended too",) if self._more else ()

    def note(self, pid: int) -> None:
        """Remember a process that is about to be ended."""
        if pid not in self._noted and len(self._noted) >= SWEPT_KEPT:
            self._more += 1
        elif pid not in self._noted:
            command = " ".join(self._redactor.command(_command(pid))) if len(self._noted) < _SWEPT_SHOWN else ""
            self._noted[pid] = Swept(pid, _cut(command, _COMMAND_WIDTH))

    def note_all(self, keep: Collection[int]) -> None:
        """Remember every descendant, but those to keep and what is below them; where descriptors are short, as many as can be looked at."""
        with suppress(OSError):
            below = [pid for pid in own_children() if pid not in keep]
            while below and len(self._noted) < SWEPT_KEPT:
                pid = below.pop()
                self.note(pid)
                below += children_of(pid)


def _command(pid: int) -> list[str]:
    try:
        # A zombie has none any more.
        said = command_line(pid) if users_of(pid) == {os.geteuid()} else []
        return [os.fsdecode(argument) for argument in said] or [f"[{os.fsdecode(Path(f'/proc/{pid}/comm').read_bytes()).strip()}]"]
    except OSError:
        return ["[gone]"]


def evidence_in_log(path: Path, incarnation: int) -> Evidence:
    """The last lines of both outputs of an incarnation, as its log holds them."""
    tails = new_tails()
    for _, said in filter(lambda entry: entry[0] == incarnation, _entries([*_end_of(rotated_path(path)), *_end_of(path)])):
        tails[said.source].append(replace(said, text=end_of(said.text.encode())))
    return Evidence(**said_as_evidence(in_order(tails)), from_log=True)


def _entries(lines: Iterable[str]) -> Iterator[tuple[int, Said]]:
    # What C code and child processes of a native agent wrote stands there as it is, and belongs to who wrote before.
    at, incarnation = "", 0
    for line in lines:
        if entry := ENTRY.fullmatch(line):
            at, incarnation = entry[1], int(entry[2])
            yield incarnation, Said(at, entry[3], entry[4])
        else:
            yield incarnation, Said(at, "err", line)


def _end_of(path: Path) -> list[str]:
    try:
        with open_to_read(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _READ_AT_END))
            return file.read().decode("utf-8", "replace").split("\n")[:-1]
    except OSError:
        return []


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
