"""What a supervisor tells the registry: every event, in order, and everything again when the registry is new."""

from collections import deque
from collections.abc import Callable
from typing import Any

from suptree.actors.base.messages import Happened, Snapshot
from suptree.actors.events.happening import happening
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
        self._recent: deque[dict[str, Any]] = deque(maxlen=_RECENT)
        self._evidence: deque[tuple[int, Any]] = deque(maxlen=_EVIDENCE_KEPT)
        """By serial, of the latest deaths: it is much larger than the events that it came with."""
        self._picture = Picture()

    def row(self, child: str) -> Row | None:
        """What was last said of a child."""
        return self._picture.rows.get(child)

    def tell(self, event: str, child: str | None = None, incarnation: int | None = None, **fields: Any) -> None:
        """Report one event, of this supervisor or of one of its children."""
        self._serial += 1
        told = happening(event, child, self._supervisor, source=self._source, serial=self._serial, **fields)
        if incarnation is not None:
            told["incarnation"] = incarnation
        self._picture.apply(told)
        self._recent.append({key: value for key, value in told.items() if key != "evidence"})
        if "evidence" in fields:
            self._evidence.append((self._serial, fields["evidence"]))
        self._send(Happened(told))

    def tell_all_again(self) -> None:
        """Give a new registry the rows of all children, and the latest events in case it missed some."""
        evidence = dict(self._evidence)
        recent = ({**told, "evidence": evidence[told["serial"]]} if told["serial"] in evidence else told for told in self._recent)
        self._send(Snapshot(self._supervisor, dict(self._picture.rows), tuple(recent)))
