"""What a supervisor reports to the registry: every event, in order, and everything again when the registry is new."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from suptree.actors.base.messages import Reported, Snapshot
from suptree.actors.events.entry import Entry, entry_now
from suptree.actors.events.event_types import Event
from suptree.actors.events.picture import Picture, Row

_RECENT = 2000
_EVIDENCE_KEPT = 20


class Reporter:
    """Numbers the events of one supervisor, keeps its own rows, and sends both through `send` while there is a registry."""

    def __init__(self, supervisor: str, source: str, send: Callable[[Any], bool]) -> None:
        self._supervisor = supervisor
        self._source = source
        self._send = send
        self._serial = 0
        self._recent: deque[Entry] = deque(maxlen=_RECENT)
        self._evidence: deque[tuple[int, Mapping[str, Any]]] = deque(maxlen=_EVIDENCE_KEPT)
        """By serial, of the latest deaths: it is much larger than the events that it came with."""
        self._picture = Picture()

    def row(self, child: str) -> Row | None:
        """What was last reported of a child."""
        return self._picture.rows.get(child)

    def report(self, event: Event, evidence: Mapping[str, Any] | None = None) -> None:
        """Report one event, of this supervisor or of one of its children; `evidence` comes with an end, for the post-mortem."""
        self._serial += 1
        entry = entry_now(event, self._supervisor, source=self._source, serial=self._serial, evidence=evidence)
        self._picture.apply(entry)
        self._recent.append(replace(entry, evidence=None))
        if evidence is not None:
            self._evidence.append((self._serial, evidence))
        self._send(Reported(entry))

    def report_all_again(self) -> None:
        """Give a new registry the rows of all children, and the latest events in case it missed some."""
        evidence = dict(self._evidence)
        recent = (replace(entry, evidence=evidence.get(entry.serial)) for entry in self._recent)
        self._send(Snapshot(self._supervisor, dict(self._picture.rows), tuple(recent)))
