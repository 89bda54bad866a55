"""What an agent prints, line by line, read from its log: the agent never waits for a reader."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from suptree.actors.errors import NoSuchAgent, SuptreeError
from suptree.actors.output.log_reader import MOST_LINES, follow_log
from suptree.actors.output.output_log import ENTRY, log_path
from suptree.supervisors.spec.ids import fault_of_id

from ..own_tree.mirror import Mirror

STREAMS = ("out", "err")


@dataclass(frozen=True, slots=True)
class OutputLine:
    """One line of an agent's output, without its newline; `at` is when it was read (aware, UTC), `stream` is `out` or `err`.

    A line that says that output is missing, or that was written into the log past its actor, has neither time, incarnation nor stream.
    """

    text: str
    at: datetime | None = None
    incarnation: int | None = None
    stream: str | None = None


class AgentOutput:
    """The output of one agent from now on."""

    def __init__(self, mirror: Mirror, state: Path, agent_id: str, stream: str | None) -> None:
        """Raises NoSuchAgent for what can be no id, ValueError for a stream that there is not."""
        # It becomes a part of a path.
        if fault := fault_of_id(agent_id):
            raise NoSuchAgent(f"no agent {agent_id!r} in the tree: {fault}")
        if stream not in (None, *STREAMS):
            raise ValueError(f"stream must be 'out', 'err' or None, not {stream!r}")
        self._mirror = mirror
        self._path = log_path(str(state), agent_id)
        self._stream = stream

    async def lines(self, last: int) -> AsyncGenerator[OutputLine, None]:
        """The last lines of before, then each line as it comes, until the tree ends."""
        ended = asyncio.ensure_future(self._mirror.ended())
        try:
            async with contextlib.aclosing(follow_log(self._path, last, ended)) as lines:
                async for line in lines:
                    parsed = parse(line)
                    if self._stream in (None, parsed.stream) or parsed.stream is None:
                        yield parsed
        finally:
            ended.cancel()

    @staticmethod
    def checked(lines: int) -> int:
        """How many of the last lines are wanted, as the control API takes it. Raises SuptreeError for what is no such number."""
        if not isinstance(lines, int) or isinstance(lines, bool) or not 0 <= lines <= MOST_LINES:
            raise SuptreeError(f"lines must be a whole number from 0 to {MOST_LINES}, not {lines!r}")
        return lines

    @staticmethod
    def parsed(lines: Iterable[str]) -> list[OutputLine]:
        """Lines of a log, each with its parts."""
        return [parse(line) for line in lines]


def parse(line: str) -> OutputLine:
    """The parts of a line of a log."""
    if entry := ENTRY.fullmatch(line):
        # What was written past its actor may look like a time, and be none.
        with contextlib.suppress(ValueError):
            return OutputLine(entry[4], datetime.fromisoformat(entry[1]), int(entry[2]), entry[3])
    return OutputLine(line)
