"""Commands that show: status, tree, events."""

import contextlib
import json
import sys
from typing import Any

import click
from rich.text import Text
from rich.tree import Tree

from suptree.actors.errors import NoSuchAgent, NotRunning
from suptree.actors.events.wording import journal_trouble, line
from suptree.actors.output.printable import printable
from suptree.control.client.client import Client
from suptree.control.trees.last_run import how_it_ended
from suptree.control.trees.paths import known_trees

from ..common import json_option, tree_option, warnings_of, with_client
from ..screen import print_json, say, show, terminal, write
from .status_table import STYLES, details, status_table


@click.command()
@click.argument("agent_id", metavar="[ID]", required=False)
@tree_option
@json_option
def status(agent_id: str | None, tree_name: str | None, *, as_json: bool) -> None:
    """Where every agent stands, or one."""
    try:
        found = with_client(tree_name, lambda client: client.status())
    except NotRunning as error:
        trees = [paths for paths in known_trees() if tree_name in (None, paths.name)]
        raise NotRunning("\n".join([str(error), *filter(None, map(how_it_ended, trees))])) from None
    if agent_id is not None:
        rows = [row for row in (*found["agents"], *found["supervisors"]) if row["id"] == agent_id]
        if not rows:
            raise NoSuchAgent(f"no agent {agent_id!r} in tree {found['tree']!r}: see `suptree status`")
        if as_json:
            print_json(rows[0])
        else:
            show(details(rows[0]))
    elif as_json:
        print_json(found)
    else:
        show(status_table(found, terminal().width if sys.stdout.isatty() else None))
        for warning in warnings_of(found):
            say(warning)
        if trouble := journal_trouble(found["journal"]):
            say(trouble)


@click.command()
@tree_option
@json_option
def tree(tree_name: str | None, *, as_json: bool) -> None:
    """The supervision tree as a tree."""
    found = with_client(tree_name, lambda client: client.status())
    if as_json:
        print_json(_nested(found, None))
    else:
        show(_drawn(found))


@click.command()
@tree_option
@json_option
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens next.")
def events(tree_name: str | None, *, as_json: bool, follow: bool) -> None:
    """What has happened in this run."""

    def report(event: dict[str, Any]) -> None:
        if as_json:
            write(json.dumps(event))
        else:
            say(line(event))

    async def talk(client: Client) -> None:
        if follow:
            async with contextlib.aclosing(client.events()) as stream:
                async for event in stream:
                    report(event)
        else:
            for event in await client.known_events():
                report(event)

    with contextlib.suppress(KeyboardInterrupt):
        with_client(tree_name, talk)


def _below(found: dict[str, Any], supervisor: str | None) -> list[dict[str, Any]]:
    return [row for row in (*found["supervisors"], *found["agents"]) if row["supervisor"] == supervisor]


def _nested(found: dict[str, Any], supervisor: str | None) -> list[dict[str, Any]]:
    return [{**row, **({"children": _nested(found, row["id"])} if "strategy" in row else {})} for row in _below(found, supervisor)]


def _drawn(found: dict[str, Any]) -> Tree:
    drawing = Tree(printable(found["tree"]))

    def draw(branch: Tree, supervisor: str | None) -> None:
        for row in _below(found, supervisor):
            text = Text.assemble(printable(row["id"]), " ", (row["status"], STYLES.get(row["status"], "")))
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
