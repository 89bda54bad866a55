"""Whether the tree file still says what runs: compared by what it means, not by its text."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from suptree.actors.errors import SuptreeError
from suptree.supervisors.spec.tree_spec import SupervisorSpec, TreeSpec


class TreeFileDrift:
    """Compares the file of a running tree with `tree`, which was read from the file at the start, with the same environment."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        from suptree.supervisors.config.tree_file import load_tree  # noqa: PLC0415  (only now: it is large, and not needed before the first fork)

        self._path = path
        self._load: Callable[[], TreeSpec] = lambda: load_tree(path, environment)
        self._stamp = self._looks()
        self.tree: TreeSpec = self._load()
        self._differs: str | None = None

    def differs(self) -> str | None:
        """In what the file differs from what runs, in a line for people; None when it does not. It is read only when it has changed."""
        if (stamp := self._looks()) != self._stamp:
            self._stamp = stamp
            self._differs = self._compared()
        return self._differs

    def _looks(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError as error:
            return (error.errno or 0,)
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _compared(self) -> str | None:
        try:
            now = dict(_parts(self._load().root))
        except (SuptreeError, OSError, ValueError):
            return f"{self._path} cannot be read as a tree file any more; what it said before runs: see `suptree check {self._path}`"
        runs = dict(_parts(self.tree.root))
        sides = {
            "changed": [name for name in runs if name in now and runs[name] != now[name]],
            "new": [name for name in now if name not in runs],
            "gone": [name for name in runs if name not in now],
        }
        if not any(sides.values()):
            return None
        words = "; ".join(f"{what}: {', '.join(names)}" for what, names in sides.items() if names)
        return f"{self._path} differs from what runs ({words}): `suptree down` and `suptree up {self._path}` run what it says now"


def _parts(supervisor: SupervisorSpec) -> Iterator[tuple[str, object]]:
    """Each agent and supervisor by its id, with all that is its own."""
    yield supervisor.id, (supervisor.flags, [child.id for child in supervisor.children])
    for child in supervisor.children:
        if isinstance(child.start, SupervisorSpec):
            yield from _parts(child.start)
        else:
            yield child.id, child
