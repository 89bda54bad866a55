"""A row of the picture as the snapshot that programs hold."""

import copy
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from suptree.actors import AgentProcess, AgentStatus, AgentType
from suptree.actors.events.picture import Row, is_alive
from suptree.actors.events.row_detail import described


def agent_process(row: Row, config: Mapping[str, Any] | None) -> AgentProcess:
    """The snapshot of an agent; `config` is what the program gave, None for an agent that the program did not start."""
    return AgentProcess(
        agent_id=row["id"],
        agent_type=AgentType(row["type"]),
        status=AgentStatus(row["status"]),
        started_at=_time(row["started_at"]),
        stopped_at=None if is_alive(row) else _time(row["stopped_at"]),
        restart_count=row["restarts"],
        config=copy.deepcopy(config or row["config"]),
        pid=row["pid"] or row["actor_pid"],
        incarnation=row["incarnation"],
        last_exit=row["last_exit"],
        detail=described(row),
        **{key: row["config"].get(key, "") for key in ("name", "role", "model")},
        labels=dict(row["config"].get("labels", {})),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
