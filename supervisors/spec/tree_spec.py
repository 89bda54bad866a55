"""The shape of a whole tree: supervisors in supervisors, agents at the leaves."""

from collections.abc import Iterator
from dataclasses import dataclass

from suptree.actors.errors import SpecError
from suptree.actors.spec.agent_spec import AgentSpec

from .child_spec import ChildSpec, SupervisorFlags


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSpec:
    """One supervisor and its children, in start order; a child's `start` is an `AgentSpec` or another `SupervisorSpec`."""

    id: str
    flags: SupervisorFlags = SupervisorFlags()
    children: tuple[ChildSpec, ...] = ()

    def walk(self) -> Iterator[tuple["SupervisorSpec", ChildSpec]]:
        """Every child below, with its supervisor, depth first in start order."""
        for child in self.children:
            yield self, child
            if isinstance(child.start, SupervisorSpec):
                yield from child.start.walk()


def agents_of(start: object) -> list[str]:
    """The ids of the agents that the `start` of a child would start."""
    if isinstance(start, AgentSpec):
        return [start.agent_id]
    below = start.walk() if isinstance(start, SupervisorSpec) else ()
    return [child.start.agent_id for _, child in below if isinstance(child.start, AgentSpec)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeSpec:
    """A tree by name. Ids are unique in the whole tree."""

    name: str
    root: SupervisorSpec

    def __post_init__(self) -> None:
        seen = {self.root.id}
        for supervisor, child in self.root.walk():
            if child.id in seen:
                raise SpecError(f"{child.id}: duplicate id in the tree (again under {supervisor.id})")
            if not isinstance(child.start, AgentSpec | SupervisorSpec):
                raise SpecError(f"{child.id}: a child of a tree is an agent or a supervisor")
            seen.add(child.id)
