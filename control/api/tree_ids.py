"""Which ids there are in a tree: an id stands once, below one supervisor."""

from collections.abc import Callable, Mapping, Sequence

from suptree.actors.errors import AlreadyPresent, AlreadyRunning
from suptree.actors.events.picture import Row, is_alive
from suptree.supervisors.spec.child_spec import ChildSpec, RestartType
from suptree.supervisors.spec.tree_spec import SupervisorSpec

Ids = Sequence[tuple[str, str]]
"""Ids, each after the id of its supervisor."""

_FILE = ""


class TreeIds:
    """Knows below which supervisor each id belongs. OTP's supervisors know their own children alone, and so do ours.

    `root` is what the tree file says, if there is one; `rows` is what is known of the children. An id belongs below a supervisor

    - while a request to start or delete the child there is under way;
    - for as long as a spec puts it there, in the tree file or as a client gave it: each start of that supervisor starts the child;
    - from when a client added it there to when a client deletes it, or, where it is temporary, to its end.
    """

    def __init__(self, root: SupervisorSpec | None, rows: Callable[[], Mapping[str, Row]]) -> None:
        self._rows = rows
        self._named = {_FILE: {} if root is None else {child.id: above.id for above, child in root.walk()}}
        """Of the file, and of each supervisor that a client added with children: the ids below it, each with its own supervisor."""
        self._added: dict[str, str] = {}
        """Each child that a client added, but temporary ones, with its supervisor."""
        self._under_way: dict[str, list[str]] = {}
        """By id, the supervisor that each request about it goes to."""

    def keep(self, ids: Ids) -> None:
        """Keep ids for a request.

        Raises AlreadyRunning for one that belongs below another supervisor; AlreadyPresent where the first is down, and can be deleted.
        """
        for number, (supervisor, child_id) in enumerate(ids):
            self._check(supervisor, child_id, AlreadyRunning if number else AlreadyPresent)
        for supervisor, child_id in ids:
            self._under_way.setdefault(child_id, []).append(supervisor)

    def let_go(self, ids: Ids) -> None:
        """The request is answered."""
        for supervisor, child_id in ids:
            self._under_way[child_id].remove(supervisor)
            if not self._under_way[child_id]:
                del self._under_way[child_id]

    def has_added(self, supervisor: str, spec: ChildSpec) -> None:
        """A client has added a child, with all below it."""
        self._named.pop(spec.id, None)
        self._added.pop(spec.id, None)
        if spec.restart is not RestartType.TEMPORARY:
            self._added[spec.id] = supervisor
        if below := {child_id: above for above, child_id in ids_of(supervisor, spec)[1:]}:
            self._named[spec.id] = below

    def has_deleted(self, child_id: str) -> None:
        """A client has deleted a child, with all below it. Where another spec names it too, it is not gone for good."""
        below: dict[str, list[str]] = {}
        for known in (*self._named.values(), self._added):
            for each, above in known.items():
                below.setdefault(above, []).append(each)
        gone = [child_id]
        for each in gone:
            gone += below.pop(each, ())
            self._named.pop(each, None)
            self._added.pop(each, None)

    def _check(self, supervisor: str, child_id: str, stopped: type[AlreadyRunning]) -> None:
        for above in self._under_way.get(child_id, ()):
            if above != supervisor:
                raise _refusal(AlreadyRunning, child_id, f"is being started or deleted, below supervisor {above!r}")
        row = self._rows().get(child_id)
        if row is not None and row["supervisor"] != supervisor:
            below = f"below supervisor {row['supervisor']!r}"
            if row["until"] is not None or row["waiting_for"] is not None:
                raise _refusal(AlreadyRunning, child_id, f"is about to be started again, {below}")
            if is_alive(row):
                raise _refusal(AlreadyRunning, child_id, f"runs already, {below}")
        for named in self._named.values():
            if named.get(child_id, supervisor) != supervisor:
                raise _refusal(AlreadyRunning, child_id, f"is in the spec of supervisor {named[child_id]!r}, which starts it")
        if self._added.get(child_id, supervisor) != supervisor:
            raise _refusal(stopped, child_id, f"is down, below supervisor {self._added[child_id]!r}: start it there, or delete it first")


def ids_of(supervisor: str, spec: ChildSpec) -> list[tuple[str, str]]:
    """The id of a child, and those of all below it, each after the id of its supervisor."""
    below = spec.start.walk() if isinstance(spec.start, SupervisorSpec) else ()
    return [(supervisor, spec.id), *((above.id, child.id) for above, child in below)]


def _refusal(kind: type[AlreadyRunning], child_id: str, how: str) -> AlreadyRunning:
    return kind(f"{child_id!r} {how}: an id stands once in a tree")
