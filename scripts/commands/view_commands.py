"""Commands that show a whole tree: its picture, and its events."""

import contextlib
import json
from typing import Any

import click
from rich.text import Text
from rich.tree import Tree

from suptree.actors.events.wording import line
from suptree.actors.output.printable import printable
from suptree.control.client.client import Client

from ..common import json_option, tree_option, with_client
from ..drawings import show
from ..screen import print_json, say, write
from .status_table import STYLES


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
