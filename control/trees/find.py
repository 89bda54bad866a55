"""Which trees run, and which one a command means."""

import os

from suptree.actors.errors import NotRunning, SuptreeError

from .paths import TreePaths, known_trees
from .standing import Running, standing

TREE_VARIABLE = "SUPTREE_TREE"


def running_trees() -> list[Running]:
    """Every tree that runs under the present home, where this process can reach it."""
    found, _ = _look(known_trees())
    return found


def known_tree(name: str | None) -> TreePaths:
    """The tree of that name, which may be down; without a name the only one that runs. Raises what `find_tree` raises."""
    known = {paths.name: paths for paths in known_trees()}
    return known[name] if name in known else find_tree(name).paths


def find_tree(name: str | None) -> Running:
    """The tree of that name (or of `$SUPTREE_TREE`); without a name the only one that runs.

    Raises NotRunning, SuptreeError when several run, and what `standing` raises.
    """
    name = name or os.environ.get(TREE_VARIABLE)
    running, refusals = _look(known_trees())
    if name is not None:
        for tree in running:
            if tree.paths.name == name:
                return tree
        if name in refusals:
            raise refusals[name]
        others = f" (running: {', '.join(tree.paths.name for tree in running)})" if running else ""
        raise NotRunning(f"tree {name!r} does not run{others}: start it with `suptree up FILE`")
    if len(running) > 1:
        raise SuptreeError(f"several trees run: {', '.join(tree.paths.name for tree in running)}; say which with --tree NAME")
    if running:
        return running[0]
    for refusal in refusals.values():
        raise refusal
    raise NotRunning("no tree runs: start one with `suptree up FILE`")


def _look(trees: list[TreePaths]) -> tuple[list[Running], dict[str, SuptreeError]]:
    """The trees that run, and by name what `standing` raises of others."""
    running: list[Running] = []
    refusals: dict[str, SuptreeError] = {}
    for paths in trees:
        try:
            if (found := standing(paths)) is not None:
                running.append(found)
        except SuptreeError as refusal:
            refusals[paths.name] = refusal
    return running, refusals
