"""What the fixtures of this folder give: texts of tree files in, trees or problems out."""

from collections.abc import Callable

from suptree.supervisors.spec.tree_spec import TreeSpec

Problems = list[tuple[str, str]]
Parse = Callable[[str], TreeSpec]
Refuse = Callable[[str], Problems]
