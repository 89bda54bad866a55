"""The names of events, by which a program subscribes to them."""

from collections.abc import Callable

from suptree.actors.events.entry import Entry
from suptree.actors.events.event_types import ChildEvent, Decided, Exited, Kind, Ready, Started, Starting, Stopping, Suspect, Unkillable


class Selection:
    """Selects the events of one name.

    Of an agent: `started`, `ready`, `stopping`, `exited`, `suspect`, `unkillable`, and `restarted` (it runs again, and no person asked
    for that); and what its supervisor decided after an exit: `held`, `parked`, `quarantined`. `gave_up` is about the supervisor whose
    restart limit an exit has exceeded. `every` selects all events of agents, supervisors, services and the tree.
    """

    def __init__(self, name: str) -> None:
        """Raises ValueError for a name that there is not."""
        if name not in NAMES:
            raise ValueError(f"there is no event {name!r}: there are {', '.join(NAMES)}")
        self._name = name
        self._restarts: dict[str, int] = {}
        self._restarted: set[str] = set()

    def __call__(self, entry: Entry) -> Entry | None:
        """The entry itself when it is of that name, else None."""
        if self._name == "every":
            return entry
        if self._name == "restarted":
            return entry if self._is_restart(entry) else None
        return entry if _SELECTED[self._name](entry) else None

    def _is_restart(self, entry: Entry) -> bool:
        event = entry.event
        if isinstance(event, Starting) and event.kind is Kind.AGENT:
            if event.restarts > self._restarts.get(event.id, 0):
                self._restarted.add(event.id)
            self._restarts[event.id] = event.restarts
        if isinstance(event, Started) and event.kind is Kind.AGENT and event.id in self._restarted:
            self._restarted.discard(event.id)
            return True
        return False


def _of_agent(event_type: type[ChildEvent]) -> Callable[[Entry], bool]:
    return lambda entry: isinstance(entry.event, event_type) and entry.event.kind is Kind.AGENT


def _decided(decision: str) -> Callable[[Entry], bool]:
    return lambda entry: isinstance(entry.event, Decided) and entry.event.decision == decision


_SELECTED: dict[str, Callable[[Entry], bool]] = {
    "started": _of_agent(Started),
    "ready": _of_agent(Ready),
    "stopping": _of_agent(Stopping),
    "exited": _of_agent(Exited),
    "suspect": _of_agent(Suspect),
    "unkillable": _of_agent(Unkillable),
    "held": _decided("hold"),
    "parked": _decided("park"),
    "quarantined": _decided("quarantine"),
    "gave_up": _decided("escalate"),
}

NAMES = (*_SELECTED, "restarted", "every")
