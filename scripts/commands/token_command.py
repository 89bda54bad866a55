"""The command that shows the token of a tree's TCP door, or makes a new one."""

import click

from suptree.control.door.tokens import TokenFile
from suptree.control.trees.find import known_tree

from ..common import tree_option
from ..screen import say


@click.command()
@tree_option
@click.option("--rotate", is_flag=True, help="Make a new one. The old one opens nothing from now on, and who follows with it is cut off.")
def token(tree_name: str | None, *, rotate: bool) -> None:
    """Print the token that opens the control API on TCP (`up --listen`), made when it is first asked for."""
    file = TokenFile(known_tree(tree_name).token_file)
    say(file.rotate() if rotate else file.ensure())
