"""What was refused at the doors of a launcher: counted, and written down at a bounded rate."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from enum import StrEnum
from typing import Any

from suptree.actors.events.entry import Entry, entry_now
from suptree.actors.events.event_types import TreeRefused
from suptree.actors.events.report_interval import ReportInterval


class Why(StrEnum):
    """What was wrong with what was refused."""

    STRANGER = "stranger"
    """Another user, or on the link any process but the registry."""
    TOKEN = "token"  # noqa: S105
    HOST = "host"
    ORIGIN = "origin"
    CONTENT_TYPE = "content_type"
    UNSEALED = "unsealed"
    """Between actors: it did not begin as our processes do."""
    FORGED = "forged"
    """Between actors: not sealed with the key of this tree, or changed on the way, or said before."""
    LATE = "late"
    """Between machines: it was on its way for too long."""
    MALFORMED = "malformed"
    """Not HTTP."""
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    """No whole request in time, or an answer that nobody reads."""
    CROWDED = "crowded"
    """It had to give way, or there was no room."""


class Refusals:
    """Counts by door (`control`, `tcp`, `link`, `actor ID`) and reason; `record` writes an event into the journal."""

    def __init__(self, run_id: str, record: Callable[[Entry], Coroutine[Any, Any, None]]) -> None:
        self._source = f"launcher {run_id}"
        self._record = record
        self._counts: dict[str, Counter[str]] = {}
        self._serials = itertools.count(1)
        # A stranger that comes again and again must not push everything else out of the journal.
        self._interval = ReportInterval()
        self._due: asyncio.TimerHandle | None = None
        self._recording: set[asyncio.Task[None]] = set()

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Everything that was refused in this run."""
        return {door: dict(counts) for door, counts in self._counts.items()}

    def counter(self, door: str) -> Callable[[Why], None]:
        """What counts for one door; call it in the event loop."""

        def count(why: Why) -> None:
            self.add(door, {why.value: 1})

        return count

    def add(self, door: str, refused: Mapping[str, int]) -> None:
        """Take in what somebody else has counted, by reason; call it in the event loop."""
        self._counts.setdefault(door, Counter()).update(refused)
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(self._interval.due_in(time.monotonic()), self._report)

    def _report(self) -> None:
        self._due = None
        self._interval.reported(time.monotonic())
        entry = entry_now(TreeRefused(refused=self.counts), None, source=self._source, serial=next(self._serials))
        recording = asyncio.ensure_future(self._record(entry))
        self._recording.add(recording)
        recording.add_done_callback(self._recording.discard)
