"""The command about the key that seals what the processes of a tree say to each other."""

import click

from suptree.control.seal.tree_key import fingerprint, key_path, rotate_key, tree_key
from suptree.control.trees.find import known_tree
from suptree.control.trees.standing import standing

from ..common import tree_option
from ..screen import say


@click.command()
@tree_option
@click.option("--rotate", is_flag=True, help="Make a new one. A tree that runs keeps the old one until it ends.")
def key(tree_name: str | None, *, rotate: bool) -> None:
    """Say where a tree's own key is kept, and its fingerprint; the key itself is shown to nobody."""
    paths = known_tree(tree_name)
    # Asked first: a tree about which that cannot be said keeps its key.
    runs = rotate and standing(paths) is not None
    if rotate:
        rotate_key(paths.state)
    say(f"{key_path(paths.state)} {fingerprint(tree_key(paths.state))}")
    if runs:
        say(f"{paths.name} runs, and keeps its old key until `suptree down`", err=True)
