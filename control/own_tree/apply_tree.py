"""A tree file, or a mapping of the same shape, as the children that an embedded tree is given."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suptree.actors.errors import ConfigError
from suptree.supervisors.config.tree_file import load_tree, tree_from_mapping
from suptree.supervisors.spec.child_spec import ChildSpec
from suptree.supervisors.spec.tree_spec import SupervisorSpec

AnyTree = str | os.PathLike[str] | Mapping[str, Any]
"""The path of a tree file, or its tables."""


@dataclass(frozen=True, slots=True)
class Addition:
    """A child of the root supervisor, with all below it."""

    spec: ChildSpec

    @property
    def ids(self) -> list[str]:
        """Its id and those of all below it, in start order."""
        return list(_ids(self.spec))


def children_of(tree: AnyTree, present: set[str]) -> list[Addition]:
    """What goes below the root, in start order; reads files. Raises ConfigError with every fault, also for each id that is `present`.

    Raises TypeError for what is neither a path nor a mapping.
    """
    if isinstance(tree, Mapping):
        source, spec = "tree", tree_from_mapping(tree, "tree", Path.cwd())
    elif isinstance(tree, str | os.PathLike):
        source, spec = str(tree), load_tree(Path(tree))
    else:
        raise TypeError(f"tree must be the path of a tree file, or a mapping of the same shape, not {tree!r}")
    additions = [Addition(child) for child in spec.root.children]
    duplicates = [child_id for addition in additions for child_id in addition.ids if child_id in present]
    if duplicates:
        raise ConfigError(source, [(child_id, "duplicate child id: there is one in the tree that runs already") for child_id in duplicates])
    return additions


def _ids(spec: ChildSpec) -> Iterator[str]:
    yield spec.id
    if isinstance(spec.start, SupervisorSpec):
        for child in spec.start.children:
            yield from _ids(child)
