"""The whole picture of a tree, kept from its events: one row for each agent, supervisor and service.

The registry keeps it, and so does every client that follows the events; none of them ever asks an agent.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from ..exits import CauseId, Exit, ExitClass
from .entry import Entry, exit_as_json
from .event_types import (
    ChildEvent,
    Decided,
    Deleted,
    Exited,
    Ignored,
    Kind,
    NotificationsRefused,
    Ready,
    Stalled,
    Started,
    Starting,
    StatusText,
    Stopping,
    Suspect,
    Unkillable,
    WaitCancelled,
)
from .json_values import boolean, each, mapping, number, number_or_none, or_none, record, text, text_or_none, whole, whole_or_none

Row = dict[str, Any]

_ALIVE = ("starting", "running", "stopping", "unknown")
_RESTARTS_KEPT = 100
_DELETED_KEPT = 1000


class Picture:
    """Rows by id; `apply` is the only way to change them.

    The row of a child that was deleted stays, while not many others are deleted after it: its id counts its lives on. Then it goes, and
    `gone` is called with the id.
    """

    def __init__(self, rows: Iterable[Row] = (), gone: Callable[[str], object] = str) -> None:
        self._gone = gone
        self.rows: dict[str, Row] = {row["id"]: {**_fresh(row["id"]), **row} for row in rows}

    def apply(self, entry: Entry) -> Row | None:
        """Take in one event; return the row that it changed. An event of an old incarnation changes nothing."""
        event = entry.event
        change = _CHANGES.get(type(event))
        if change is None or not isinstance(event, ChildEvent):
            return None
        row = self.rows.get(event.id)
        if isinstance(event, Deleted) and (row is None or is_alive(row)):
            return None
        if row is not None and event.incarnation < row["incarnation"] and not _begins_anew(row, event, entry):
            return None
        if row is None or isinstance(event, Starting):
            row = self.rows[event.id] = {**_fresh(event.id), **({} if row is None else _kept(row))}
        change(row, event, entry)
        if isinstance(event, Exited) and event.kind is Kind.SUPERVISOR:
            self._end_below(event, entry)
        if isinstance(event, Decided):
            self._decided(event, entry)
        if isinstance(event, WaitCancelled):
            self._wait_no_more(event.id)
        if isinstance(event, Deleted):
            self._delete_below(event)
        return row

    def replace(self, rows: Iterable[Row]) -> None:
        """Take rows as they are, from a supervisor that is new to us."""
        for row in rows:
            self.rows[row["id"]] = dict(row)

    def of_kind(self, kind: str) -> list[Row]:
        """The rows of one kind (`agent`, `supervisor`, `service`) that are not deleted, in the order in which they first appeared."""
        return [row for row in self.rows.values() if row["kind"] == kind and not row["deleted"]]

    def below(self, supervisor: str) -> list[Row]:
        """Every row under a supervisor, at any depth; each once, also where the rows of a damaged journal stand in a circle."""
        above = {supervisor}
        while more := {row["id"] for row in self.rows.values() if row["supervisor"] in above} - above:
            above |= more
        return [row for row in self.rows.values() if row["supervisor"] in above and row["id"] != supervisor]

    def _decided(self, event: Decided, entry: Entry) -> None:
        self._wait_no_more(event.id)
        if event.charged and entry.supervisor in self.rows:
            supervisor = self.rows[entry.supervisor]
            supervisor["restarted_at"] = [*supervisor["restarted_at"], entry.monotonic][-_RESTARTS_KEPT:]
        for other in event.affected if event.delay else ():
            if other != event.id and other in self.rows:
                self.rows[other]["waiting_for"] = event.id

    def _wait_no_more(self, leader: str) -> None:
        for row in self.rows.values():
            if row["waiting_for"] == leader:
                row["waiting_for"] = None

    def _end_below(self, event: Exited, entry: Entry) -> None:
        for row in self.below(event.id):
            alive = row["status"] in _ALIVE
            if alive and (row["started"] or 0.0) > entry.monotonic:
                # Reported late: it has begun anew since.
                continue
            row["waiting_for"] = None
            if row["until"] is not None:
                row.update(decision=None, why=None, until=None)
            if alive:
                how = Exit(event.exit.exit_class, f"supervisor {event.id} ended: {event.exit.reason}", cause=CauseId.SUPERVISOR_ENDED)
                _ended(row, how, entry)

    def _delete_below(self, event: Deleted) -> None:
        for row in self.below(event.id):
            if not is_alive(row):
                _deleted(row)
        deleted = [child for child, row in self.rows.items() if row["deleted"]]
        for child in deleted[:-_DELETED_KEPT]:
            del self.rows[child]
            self._gone(child)


def _begins_anew(row: Row, event: ChildEvent, entry: Entry) -> bool:
    """Its supervisor may be new, and could not read how many lives it has had: what begins later is later, whatever its number is."""
    return isinstance(event, Starting) and not is_alive(row) and entry.monotonic > (row["started"] or 0.0)


def is_alive(row: Row) -> bool:
    """Whether something of it may be running."""
    return row["status"] in _ALIVE


def _fresh(child: str) -> Row:
    """`why` says why it stops, or what the `decision` rests on; `until` and `…_since` are seconds on the monotonic clock."""
    return {
        "id": child, "kind": "agent", "type": None, "supervisor": None, "node": "local", "status": "unknown", "pid": None,
        "actor_pid": None, "incarnation": 0, "restarts": 0, "started_at": None, "started": None, "stopped_at": None,
        "status_text": None, "last_exit": None, "config": {}, "restarted_at": [], "why": None, "decision": None, "until": None,
        "waiting_for": None, "suspect": False, "silent_since": None, "stalled": False, "stalled_since": None, "awaits_ready": False,
        "unkillable": [], "deleted": False,
    }  # fmt: skip


_EXIT = record(
    {"class": ExitClass, "reason": text, "at": text},
    {"last_error": text_or_none, "during_start": boolean, "cause": text_or_none, "signal": whole_or_none, "code": whole_or_none},
)
_ROW = record(
    {"id": text, "incarnation": whole, "restarts": whole},
    {
        **dict.fromkeys(("type", "supervisor", "started_at", "stopped_at", "status_text", "why", "decision", "waiting_for"), text_or_none),
        **dict.fromkeys(("started", "until", "silent_since", "stalled_since"), number_or_none),
        **dict.fromkeys(("suspect", "stalled", "awaits_ready", "deleted"), boolean),
        **dict.fromkeys(("pid", "actor_pid"), whole_or_none),
        **dict.fromkeys(("node", "status"), text),
        "kind": Kind,
        "last_exit": or_none(_EXIT),
        "config": mapping,
        "restarted_at": each(number),
        "unkillable": each(whole),
        "refused": mapping,
    },
)


def _kept(row: Row) -> Row:
    if row["deleted"]:
        return {}
    return {key: row[key] for key in ("last_exit", "restarted_at", "started_at", "stopped_at", "config")}


def _starting(row: Row, event: Starting, entry: Entry) -> None:
    described = {key: value for key, value in asdict(event).items() if value not in (None, {})}
    row.update(described, kind=event.kind.value, supervisor=entry.supervisor)
    row.update(status="starting", started_at=entry.at, started=entry.monotonic)


def _started(row: Row, event: Started, entry: Entry) -> None:
    row.update(pid=event.pid, started_at=entry.at, started=entry.monotonic)
    row.update(status="running" if event.ready else "starting", awaits_ready=not event.ready)


def _ready(row: Row, _event: Ready, _entry: Entry) -> None:
    row.update(status="running", awaits_ready=False)


def _stopping(row: Row, event: Stopping, _entry: Entry) -> None:
    # One that is stopped in order to be parked keeps the reason of its park.
    row.update(status="stopping", why=row["why"] if row["decision"] is not None else event.why, **_WELL)


def _exited(row: Row, event: Exited | Ignored, entry: Entry) -> None:
    _ended(row, event.exit, entry)


def _ended(row: Row, how: Exit, entry: Entry) -> None:
    status = "stopped" if how.is_normal else "crashed"
    row.update(status=status, pid=None, actor_pid=None, stopped_at=entry.at, status_text=None, awaits_ready=False, unkillable=[], **_WELL)
    row.update(last_exit={**exit_as_json(how), "at": entry.at})
    if row["until"] is None:  # One that was stopped in order to be parked waits already.
        row.update(decision=None, why=None)


def _decided(row: Row, event: Decided, entry: Entry) -> None:
    # A plain restart follows immediately, and a child that is simply left down needs no words beside its exit.
    if event.decision == "restart" and not event.delay:
        row.update(decision=None, why=None, until=None)
    else:
        row.update(decision=event.decision, why=event.why, until=entry.monotonic + event.delay if event.delay else None)


def _wait_cancelled(row: Row, _event: WaitCancelled, _entry: Entry) -> None:
    row.update(decision=None, why=None, until=None)


def _deleted(row: Row, _event: Deleted | None = None, _entry: Entry | None = None) -> None:
    row.update(deleted=True, restarts=0)


def _suspect(row: Row, event: Suspect, entry: Entry) -> None:
    row.update(suspect=event.suspect, silent_since=entry.monotonic - event.age if event.suspect else None)


def _stalled(row: Row, event: Stalled, entry: Entry) -> None:
    row.update(stalled=event.seconds > 0, stalled_since=entry.monotonic - event.seconds if event.seconds else None)


def _unkillable(row: Row, event: Unkillable, _entry: Entry) -> None:
    row.update(status="stopping", unkillable=list(event.pids))


def _status(row: Row, event: StatusText, _entry: Entry) -> None:
    row["status_text"] = event.status


def _refused(row: Row, event: NotificationsRefused, _entry: Entry) -> None:
    row["refused"] = {"strangers": event.strangers, "malformed": event.malformed}


def is_row(said: object) -> bool:
    """Whether a JSON value can be a row, of which others are made: where it has a field of ours, that has its type."""
    try:
        _ROW(said)
    except (KeyError, TypeError, ValueError):
        return False
    return True


_WELL: dict[str, Any] = {"suspect": False, "silent_since": None, "stalled": False, "stalled_since": None}

_CHANGES: dict[type, Callable[[Row, Any, Entry], None]] = {
    Starting: _starting,
    Started: _started,
    Ready: _ready,
    Stopping: _stopping,
    Exited: _exited,
    Ignored: _exited,
    Decided: _decided,
    WaitCancelled: _wait_cancelled,
    Deleted: _deleted,
    Suspect: _suspect,
    Stalled: _stalled,
    Unkillable: _unkillable,
    StatusText: _status,
    NotificationsRefused: _refused,
}
"""What an event does to its row, by its type."""
