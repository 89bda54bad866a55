"""How agents and supervisors stand, as people read it: a table of all, or everything about one."""

import sys
from collections.abc import Callable
from typing import Any

from rich.table import Table

from ..drawings import Cell, cell, show, table, terminal

Row = dict[str, Any]

STYLES = {"running": "green", "starting": "yellow", "stopping": "yellow", "crashed": "bold red", "stopped": "dim", "unknown": "magenta"}
_DETAIL_WIDTH = 32
"""So much of a reason at least is shown before any column that says less."""

_AGENT_WIDTH, _AGENT_PART = 24, 0.4
"""An id has so many columns, or so much of the width: the rest of a longer one stands on the next line."""


def status_table(found: dict[str, Any], width: int | None = None) -> Table:
    """The agents of a status object as a table of at most that width: the columns that say least are left out first, the reason last."""
    rows = found["agents"]
    cells: dict[str, list[Cell]] = {heading: [shown(row) for row in rows] for heading, shown in _COLUMNS.items()}
    widths = {heading: max(len(heading), *(len(one) for one in column), 0) for heading, column in cells.items()}
    widths["DETAIL"] = min(widths["DETAIL"], _DETAIL_WIDTH)
    if width is not None:
        widths["AGENT"] = min(widths["AGENT"], max(_AGENT_WIDTH, int(_AGENT_PART * width)))
    headings = list(_COLUMNS)
    for heading in _LEFT_OUT:
        if width is not None and sum(widths[each] + 1 for each in headings) - 1 > width:
            headings.remove(heading)
    drawn = table(*headings, right=_RIGHT, wrapped=("DETAIL",))
    agent = drawn.columns[headings.index("AGENT")]
    agent.max_width, agent.no_wrap, agent.overflow = widths["AGENT"], False, "fold"
    for place in range(len(rows)):
        drawn.add_row(*(cells[heading][place] for heading in headings))
    return drawn


def show_status(found: dict[str, Any]) -> None:
    """Print the table, as wide as the terminal where there is one."""
    show(status_table(found, terminal().width if sys.stdout.isatty() else None))


def show_details(row: Row) -> None:
    """Print everything about one agent or supervisor, a line each."""
    shown: dict[str, Cell] = {heading: column(row) for heading, column in (_COLUMNS if "pid" in row else _SUPERVISOR).items()}
    last = row["last_exit"]
    shown |= {
        "LAST EXIT": "" if last is None else cell(f"{last['class']}, {last['reason']} ({last['at']})"),
        "STARTED AT": row.get("started_at") or "",
        "INCARNATION": str(row["incarnation"]),
        "ACTOR PID": str(row["actor_pid"] or ""),
        "NODE": row.get("node", ""),
    }
    drawn = table("", "", wrapped=("",))
    drawn.show_header = False
    for heading, value in shown.items():
        if len(value):
            drawn.add_row(heading, value)
    show(drawn)


def _detail(row: Row) -> str:
    if row["detail"]:
        return str(row["detail"])
    last = row["last_exit"]
    return f"last exit: {last['class']}, {last['reason']}" if last else ""


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


_COLUMNS: dict[str, Callable[[Row], Cell]] = {
    "AGENT": lambda row: cell(row["id"]),
    "TYPE": lambda row: cell(row["type"]),
    "SUPERVISOR": lambda row: cell(row["supervisor"] or ""),
    "STATUS": lambda row: cell(row["status"], STYLES.get(row["status"], "")),
    "PID": lambda row: str(row["pid"] or row["actor_pid"] or ""),
    "RESTARTS": lambda row: str(row["restarts"]),
    "UPTIME": lambda row: _duration(row["uptime"]),
    "PING": lambda row: "" if row["last_ping_age"] is None else f"{row['last_ping_age']:.1f}s",
    "MEMORY": lambda row: "" if row["rss"] is None else f"{row['rss'] / 2**20:.0f}M",
    "DETAIL": lambda row: cell(_detail(row)),
}
_SUPERVISOR: dict[str, Callable[[Row], Cell]] = {
    "SUPERVISOR": lambda row: cell(row["id"]),
    "UNDER": lambda row: cell(row["supervisor"] or ""),
    "STATUS": _COLUMNS["STATUS"],
    "STRATEGY": lambda row: row["strategy"],
    "RESTARTS": lambda row: f"{row['restarts_in_window']} of at most {row['max_restarts']} within {row['within']:g} s",
    "DETAIL": _COLUMNS["DETAIL"],
}
_RIGHT = ("PID", "RESTARTS", "UPTIME", "PING", "MEMORY")
_LEFT_OUT = ("PING", "TYPE", "MEMORY", "UPTIME", "SUPERVISOR", "RESTARTS", "PID", "DETAIL")
"""What is left out first, second, …"""
