"""What trees that do not run have kept of their agents."""

import os
from collections.abc import Callable
from typing import TypeVar

from suptree.actors.errors import NotRunning, SuptreeError
from suptree.control.trees.find import TREE_VARIABLE
from suptree.control.trees.paths import TreePaths, known_trees

Kept = TypeVar("Kept")


def kept_by_one(tree_name: str | None, agent_id: str, kind: str, kept: Callable[[TreePaths], Kept]) -> tuple[TreePaths, Kept] | None:
    """The tree that has kept something of an agent, and what; None when none has. Raises SuptreeError when several have.

    Raises NotRunning when the tree that was named has not, and says where to look.
    """
    name = tree_name or os.environ.get(TREE_VARIABLE)
    trees = [paths for paths in known_trees() if name in (None, paths.name)]
    found = [(paths, of_it) for paths in trees if (of_it := kept(paths))]
    if len(found) > 1:
        names = ", ".join(paths.name for paths, _ in found)
        raise SuptreeError(f"several trees, none of which runs, have kept {kind} of {agent_id!r}: {names}; say which with --tree NAME")
    if not found and name is not None and trees:
        raise NotRunning(
            f"tree {name!r} does not run, and has kept no {kind} of {agent_id!r}: `{trees[0].launcher_log}` tells how it ended"
        )
    return found[0] if found else None
