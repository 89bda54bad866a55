"""The command that shows the token of a tree's TCP door, or makes a new one."""

import click

from suptree.control.find import find_tree
from suptree.control.paths import TreePaths, known_trees
from suptree.control.tokens import TokenFile

from .common import tree_option


@click.command()
@tree_option
@click.option("--rotate", is_flag=True, help="Make a new one. The old one opens nothing from now on, and who follows with it is cut off.")
def token(tree_name: str | None, *, rotate: bool) -> None:
    """Print the token that opens the control API on TCP (`up --listen`), made when it is first asked for."""
    file = TokenFile(_tree(tree_name).token_file)
    click.echo(file.rotate() if rotate else file.ensure())


def _tree(name: str | None) -> TreePaths:
    """A tree that has a name may be down: its token is to be had before it is needed."""
    known = {paths.name: paths for paths in known_trees()}
    return known[name] if name in known else find_tree(name)
