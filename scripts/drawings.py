"""Tables and trees that the commands draw; text of agents, programs and files is made printable here too."""

import sys

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from suptree.actors.output.printable import printable

from .screen import write

Cell = str | Text

_UNBOUNDED = 100_000


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
