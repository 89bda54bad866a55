"""The status object, as `suptree status --json` and the API show it."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from suptree.actors.base.life_stamps import STAMPS
from suptree.actors.events.picture import Picture, Row, is_alive
from suptree.actors.events.row_detail import described, detail, remaining
from suptree.supervisors.actor.top import TOP


def _rss(pid: int | None) -> int | None:
    if pid is None:
        return None
    with contextlib.suppress(psutil.Error):
        memory: int = psutil.Process(pid).memory_info().rss
        return memory
    return None


def _parent(row: Row) -> str | None:
    return None if row["supervisor"] == TOP else row["supervisor"]


def _standing(row: Row) -> dict[str, Any]:
    """What programs read instead of the detail: `until` (UTC) and `remaining` (seconds) are of a backoff or park."""
    left = remaining(row)
    until = None if left is None else datetime.now(UTC) + timedelta(seconds=left)
    return {
        "suspect": row["suspect"],
        "stalled": row["stalled"],
        "held": row["decision"] == "hold",
        "quarantined": row["decision"] == "quarantine",
        "parked": row["decision"] == "park",
        "waiting_for": row["waiting_for"],
        "remaining": None if left is None else round(left, 3),
        "until": None if until is None else until.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def agent_status(row: Row, ping_age: float | None = None) -> dict[str, Any]:
    """One agent's part of the status object."""
    alive = is_alive(row)
    return {
        "id": row["id"],
        "type": row["type"],
        "supervisor": _parent(row),
        "node": row["node"],
        "status": row["status"],
        "pid": row["pid"],
        "actor_pid": row["actor_pid"],
        "incarnation": row["incarnation"],
        "restarts": row["restarts"],
        "uptime": round(time.monotonic() - row["started"], 3) if alive and row["started"] is not None else None,
        "started_at": row["started_at"],
        "stopped_at": row["stopped_at"],
        "last_ping_age": None if ping_age is None or not alive else round(ping_age, 3),
        "rss": _rss(row["pid"] or row["actor_pid"]),
        "detail": described(row),
        "status_text": row["status_text"],
        **_standing(row),
        "last_exit": row["last_exit"],
        "config": row["config"],
    }


def _supervisor_status(row: Row, ping_age: float | None) -> dict[str, Any]:
    since = time.monotonic() - row["within"]
    return {
        "id": row["id"],
        "supervisor": _parent(row),
        "strategy": row["strategy"],
        "status": row["status"],
        "actor_pid": row["actor_pid"],
        "incarnation": row["incarnation"],
        "restarts": row["restarts"],
        "restarts_in_window": sum(1 for at in row["restarted_at"] if at > since),
        "max_restarts": row["max_restarts"],
        "within": row["within"],
        "last_ping_age": None if ping_age is None or not is_alive(row) else round(ping_age, 3),
        "detail": detail(row),
        **_standing(row),
        "last_exit": row["last_exit"],
    }


def tree_status(
    tree: str,
    uptime: float,
    *,
    ready: bool,
    pids: Mapping[str, int],
    picture: Picture,
    picture_age: float,
    file_differs: Callable[[], str | None],
    longest_stop: float | None,
    ping_ages: Mapping[str, float],
    listen: str | None,
    refused: Mapping[str, Mapping[str, int]],
    journal: Mapping[str, Any],
) -> dict[str, Any]:
    """The whole object; reads the processes' memory, so call it outside an event loop.

    `picture_age` is how many seconds old the rows may be: 0 when the registry has answered just now.
    """
    now = time.monotonic()
    heartbeat = picture.rows.get("heartbeat", {})
    services = {row["id"]: row["actor_pid"] for row in picture.of_kind("service")}
    return {
        "tree": tree,
        "uptime": round(uptime, 3),
        "ready": ready,
        "file_differs": file_differs(),
        "longest_stop": None if longest_stop is None or math.isinf(longest_stop) else longest_stop,
        "picture_age": round(picture_age, 3),
        "ping_ages": {name: round(max(0.0, now - STAMPS.seen(name)), 3) for name in ("top", "registry", "heartbeat")},
        "pids": {**pids, **services},
        "listen": listen,
        "journal": journal,
        "refused": refused,
        "refused_notifications": heartbeat.get("refused", {"strangers": 0, "malformed": 0}),
        "agents": [agent_status(row, ping_ages.get(row["id"])) for row in picture.of_kind("agent")],
        "supervisors": [_supervisor_status(row, ping_ages.get(row["id"])) for row in picture.of_kind("supervisor")],
    }
