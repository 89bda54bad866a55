"""Commands that show: status, tree, events."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import click
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from suptree.actors.errors import NoSuchAgent
from suptree.actors.events.wording import line, printable
from suptree.control.client.client import Client

from ..common import console, json_option, print_json, tree_option, with_client

STYLES = {"running": "green", "starting": "yellow", "stopping": "yellow", "crashed": "bold red", "stopped": "dim", "unknown": "magenta"}


@click.command()
@click.argument("agent_id", metavar="[ID]", required=False)
@tree_option
@json_option
def status(agent_id: str | None, tree_name: str | None, *, as_json: bool) -> None:
    """Where every agent stands, or one."""
    found = with_client(tree_name, lambda client: client.status())
    if agent_id is not None:
        rows = [row for row in (*found["agents"], *found["supervisors"]) if row["id"] == agent_id]
        if not rows:
            raise NoSuchAgent(f"no agent {agent_id!r} in tree {found['tree']!r}: see `suptree status`")
        if as_json:
            print_json(rows[0])
        else:
            console().print(_details(rows[0]))
    elif as_json:
        print_json(found)
    else:
        out = console()
        out.print(status_table(found, out.width))


@click.command()
@tree_option
@json_option
def tree(tree_name: str | None, *, as_json: bool) -> None:
    """The supervision tree as a tree."""
    found = with_client(tree_name, lambda client: client.status())
    if as_json:
        print_json(_nested(found, None))
    else:
        console().print(_drawn(found))


@click.command()
@tree_option
@json_option
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens next.")
def events(tree_name: str | None, *, as_json: bool, follow: bool) -> None:
    """What has happened in this run."""

    def show(event: dict[str, Any]) -> None:
        click.echo(json.dumps(event) if as_json else line(event))

    async def talk(client: Client) -> None:
        if follow:
            async with contextlib.aclosing(client.events()) as stream:
                async for event in stream:
                    show(event)
        else:
            for event in await client.known_events():
                show(event)

    with contextlib.suppress(KeyboardInterrupt):
        with_client(tree_name, talk)


def status_table(found: dict[str, Any], width: int) -> Table:
    """The agents of a status object as a table; where it is not wide enough the columns that tell least are left out."""
    cells = {heading: [str(cell(row)) for row in found["agents"]] for heading, cell in _COLUMNS.items()}
    shown = list(_COLUMNS)
    for heading in _LEFT_OUT:
        # Its last column may be cut, but not to less than a word.
        if sum(max(map(len, [heading, *cells[heading]] if heading != "DETAIL" else [heading])) + 1 for heading in shown) > width:
            shown.remove(heading)
    table = Table(box=None, pad_edge=False, title=None)
    for heading in shown:
        table.add_column(heading, justify="right" if heading in _RIGHT else "left", no_wrap=heading != "DETAIL", overflow="ellipsis")
    for row in found["agents"]:
        table.add_row(*(_COLUMNS[heading](row) for heading in shown))
    return table


def _detail(row: dict[str, Any]) -> str:
    if row["detail"]:
        return printable(row["detail"])
    last = row["last_exit"]
    return printable(f"last exit: {last['class']}, {last['reason']}") if last else ""


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


_COLUMNS: dict[str, Callable[[dict[str, Any]], str | Text]] = {
    "AGENT": lambda row: str(row["id"]),
    "TYPE": lambda row: str(row["type"]),
    "SUPERVISOR": lambda row: row["supervisor"] or "",
    "STATUS": lambda row: Text(row["status"], STYLES.get(row["status"], "")),
    "PID": lambda row: str(row["pid"] or row["actor_pid"] or ""),
    "RESTARTS": lambda row: str(row["restarts"]),
    "UPTIME": lambda row: _duration(row["uptime"]),
    "PING": lambda row: "" if row["last_ping_age"] is None else f"{row['last_ping_age']:.1f}s",
    "MEMORY": lambda row: "" if row["rss"] is None else f"{row['rss'] / 2**20:.0f}M",
    "DETAIL": _detail,
}
_RIGHT = ("PID", "RESTARTS", "UPTIME", "PING", "MEMORY")
_LEFT_OUT = ("PING", "MEMORY", "TYPE", "UPTIME", "SUPERVISOR", "RESTARTS", "DETAIL", "PID")
"""What is left out first, second, …"""


def _details(row: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in row.items():
        if value not in (None, {}, []):
            table.add_row(key, printable(value) if isinstance(value, str) else json.dumps(value))
    return table


def _below(found: dict[str, Any], supervisor: str | None) -> list[dict[str, Any]]:
    return [row for row in (*found["supervisors"], *found["agents"]) if row["supervisor"] == supervisor]


def _nested(found: dict[str, Any], supervisor: str | None) -> list[dict[str, Any]]:
    return [{**row, **({"children": _nested(found, row["id"])} if "strategy" in row else {})} for row in _below(found, supervisor)]


def _drawn(found: dict[str, Any]) -> Tree:
    drawing = Tree(found["tree"])

    def draw(branch: Tree, supervisor: str | None) -> None:
        for row in _below(found, supervisor):
            text = Text.assemble(row["id"], " ", (row["status"], STYLES.get(row["status"], "")))
            if "strategy" in row:
                text.append(
                    f"  {row['strategy']}, {row['restarts_in_window']}/{row['max_restarts']} restarts in {row['within']:g} s", "dim"
                )
                draw(branch.add(text), row["id"])
            else:
                text.append(f"  {row['type']}, pid {row['pid'] or row['actor_pid'] or '-'}, {row['restarts']} restarts", "dim")
                branch.add(text)

    draw(drawing, None)
    return drawing
