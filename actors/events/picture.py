"""The whole picture of a tree, kept from its events: one row for each agent, supervisor and service.

The registry keeps it, and so does every client that follows the events; none of them ever asks an agent.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Row = dict[str, Any]
Event = Mapping[str, Any]

_ALIVE = ("starting", "running", "stopping", "unknown")
_DESCRIBED = (
    "id",
    "kind",
    "type",
    "supervisor",
    "node",
    "incarnation",
    "restarts",
    "actor_pid",
    "strategy",
    "max_restarts",
    "within",
    "config",
)
_RESTARTS_KEPT = 100


class Picture:
    """Rows by id; `apply` is the only way to change them."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows: dict[str, Row] = {row["id"]: dict(row) for row in rows}

    def apply(self, event: Event) -> Row | None:
        """Take in one event; return the row that it changed. An event of an old incarnation changes nothing."""
        name, child = event["event"].partition("_")[2], event.get("id")
        change = _CHANGES.get(name)
        if child is None or change is None:
            return None
        if name == "removed":
            return self.rows.pop(child, None)
        row = self.rows.get(child)
        if row is not None and event.get("incarnation", 0) < row["incarnation"]:
            return None
        if row is None or name == "starting":
            row = self.rows[child] = {**_fresh(child), **({} if row is None else _kept(row))}
        change(row, event)
        if event["event"] == "supervisor_exited":
            self._end_below(child, event)
        if name == "decided" and event.get("charged"):
            supervisor = self.rows.get(event["supervisor"])
            if supervisor is not None:
                supervisor["restarted_at"] = [*supervisor["restarted_at"], event["monotonic"]][-_RESTARTS_KEPT:]
        return row

    def replace(self, rows: Iterable[Row]) -> None:
        """Take rows as they are, from somebody who knows better."""
        for row in rows:
            self.rows[row["id"]] = dict(row)

    def of_kind(self, kind: str) -> list[Row]:
        """The rows of one kind (`agent`, `supervisor`, `service`), in the order in which they first appeared."""
        return [row for row in self.rows.values() if row["kind"] == kind]

    def below(self, supervisor: str) -> list[Row]:
        """Every row under a supervisor, at any depth."""
        rows = [row for row in self.rows.values() if row["supervisor"] == supervisor]
        return rows + [deeper for row in rows if row["kind"] == "supervisor" for deeper in self.below(row["id"])]

    def _end_below(self, supervisor: str, event: Event) -> None:
        for row in self.below(supervisor):
            # Told late, this may find rows that have begun anew since.
            if row["status"] in _ALIVE and (row["started"] or 0.0) <= event["monotonic"]:
                how = event["exit"]
                end = {"class": how["class"], "reason": f"supervisor {supervisor} ended: {how['reason']}"}
                _exited(row, {**event, "exit": end})


def is_alive(row: Row) -> bool:
    """Whether something of it may be running."""
    return row["status"] in _ALIVE


def _fresh(child: str) -> Row:
    return {
        "id": child, "kind": "agent", "type": None, "supervisor": None, "node": "local", "status": "unknown", "pid": None,
        "actor_pid": None, "incarnation": 0, "restarts": 0, "started_at": None, "started": None, "stopped_at": None,
        "detail": None, "status_text": None, "last_exit": None, "config": {}, "restarted_at": [],
    }  # fmt: skip


def _kept(row: Row) -> Row:
    return {key: row[key] for key in ("last_exit", "restarted_at", "started_at", "stopped_at", "config")}


def _starting(row: Row, event: Event) -> None:
    row.update({key: event[key] for key in _DESCRIBED if key in event})
    row.update(status="starting", started_at=event["at"], started=event["monotonic"])


def _started(row: Row, event: Event) -> None:
    ready = event.get("ready", True)
    row.update(pid=event.get("pid"), started_at=event["at"], started=event["monotonic"])
    row.update({"status": "running", "detail": None} if ready else {"status": "starting", "detail": "waiting for READY=1"})


def _ready(row: Row, _event: Event) -> None:
    row.update(status="running", detail=None)


def _stopping(row: Row, event: Event) -> None:
    row.update(status="stopping", detail=event.get("why"))


def _exited(row: Row, event: Event) -> None:
    how = event["exit"]
    unwanted = how["class"] not in ("normal", "shutdown")
    row.update(status="crashed" if unwanted else "stopped", pid=None, actor_pid=None, stopped_at=event["at"], detail=None, status_text=None)
    row.update(last_exit={**how, "at": event["at"]})


def _decided(row: Row, event: Event) -> None:
    # A plain restart follows at once, and a child that is simply left down needs no words beside its exit.
    if event["decision"] == "restart" and not event["delay"]:
        row["detail"] = None
    else:
        after = f" in {event['delay']:.1f} s" if event["delay"] else ""
        row["detail"] = f"{event['decision']}{after}: {event['why']}"


def _suspect(row: Row, event: Event) -> None:
    row["detail"] = f"suspect: silent for {event['age']:.1f} s" if event["suspect"] else None


def _stalled(row: Row, event: Event) -> None:
    row["detail"] = f"stalled: no progress for {event['seconds']:.1f} s" if event["seconds"] else None


def _unkillable(row: Row, event: Event) -> None:
    pids = ", ".join(map(str, event["pids"]))
    row.update(status="stopping", detail=f"unkillable: {pids} got SIGKILL and did not die; it starts again when they have")


def _status(row: Row, event: Event) -> None:
    row["status_text"] = event["status"]


def _refused(row: Row, event: Event) -> None:
    row["refused"] = {"strangers": event["strangers"], "malformed": event["malformed"]}


def _removed(_row: Row, _event: Event) -> None:
    pass


_CHANGES: dict[str, Callable[[Row, Event], None]] = {
    "starting": _starting,
    "started": _started,
    "ready": _ready,
    "stopping": _stopping,
    "exited": _exited,
    "ignored": _exited,
    "decided": _decided,
    "suspect": _suspect,
    "stalled": _stalled,
    "unkillable": _unkillable,
    "status": _status,
    "refused": _refused,
    "removed": _removed,
}
"""What an event does to its row, by the word after the kind: `agent_started`, `supervisor_exited`, …"""
