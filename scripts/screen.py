"""Everything that the commands print. Text of agents, programs and files is made printable here, so that no command can forget it."""

import json
import sys
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from suptree.actors.output.printable import printable, printable_lines, printable_output

Cell = str | Text

_UNBOUNDED = 100_000


def say(text: str, *, err: bool = False) -> None:
    """Print a text of one line or several."""
    write(printable_lines(text), err=err)


def say_output(line: str, *, raw: bool) -> None:
    """Print a line that an agent printed: with its colours, and without whatever else it does to a terminal unless it is to be `raw`."""
    write(line if raw else printable_output(line))


def write(text: str, *, end: str = "\n", err: bool = False) -> None:
    """Print a text as it is, immediately."""
    print(text, end=end, file=sys.stderr if err else sys.stdout, flush=True)


def print_json(value: Any) -> None:
    """Print a value as JSON, on one line when it goes to a program."""
    write(json.dumps(value, indent=2 if sys.stdout.isatty() else None))


def terminal() -> Console:
    """The terminal, for what is drawn there; colours only where there is one."""
    # What agents say holds brackets and colons, which mean nothing.
    return Console(markup=False, emoji=False)


def show(drawing: RenderableType) -> None:
    """Print a table or a tree: as wide as the terminal; in a pipe on lines that are neither cut nor padded, without colours."""
    if sys.stdout.isatty():
        terminal().print(drawing)
        return
    console = Console(width=_UNBOUNDED, color_system=None, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(drawing)
    write("\n".join(line.rstrip() for line in captured.get().splitlines()))


def table(*headings: str, right: tuple[str, ...] = (), wrapped: tuple[str, ...] = ()) -> Table:
    """A plain table without lines; only the columns that are `wrapped` take more than one line."""
    made = Table(box=None, pad_edge=False)
    for heading in headings:
        made.add_column(heading, justify="right" if heading in right else "left", no_wrap=heading not in wrapped, overflow="ellipsis")
    return made


def cell(text: str, style: str = "") -> Text:
    """What stands in a table."""
    return Text(printable(text), style)
