"""Events as sentences, for people."""

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import UnknownEvent
from ..output.printable import printable
from .entry import decode
from .event_types import (
    ChildEvent,
    Decided,
    Deleted,
    Event,
    EventsLost,
    EventsSkipped,
    Exited,
    Ignored,
    NotificationsRefused,
    Ready,
    Stalled,
    Started,
    Starting,
    StatusText,
    Stopping,
    Suspect,
    TreeReady,
    TreeRefused,
    Unkillable,
    WaitCancelled,
)


def _life(event: ChildEvent) -> str:
    return f"{event.id} #{event.incarnation}"


def _starting(event: Starting) -> str:
    return "starting" if event.actor_pid is not None else "is to start, and waits: no process can be forked for it now"


def _started(event: Started) -> str:
    pid = f" (pid {event.pid})" if event.pid else ""
    return f"started{pid}" + ("" if event.ready else ", not ready yet")


def _ready(_event: Ready) -> str:
    return "is ready"


def _stopping(event: Stopping) -> str:
    return "stopping" + (f": {event.why}" if event.why else "")


def _exited(event: Exited) -> str:
    how = event.exit
    error = f" ({how.last_error})" if how.last_error and how.last_error not in how.reason else ""
    swept = f"; {len(event.swept)} left-behind processes ended" if event.swept else ""
    return f"exited: {how.exit_class}, {how.reason}{error}{swept}"


def _ignored(event: Ignored) -> str:
    return f"was ignored: {event.exit.reason}"


def _decided(event: Decided) -> str:
    after = f" in {event.delay:.1f} s" if event.delay else ""
    others = [other for other in event.affected if other != event.id]
    along = f", along with {', '.join(others)}" if others else ""
    return f"{event.decision}{after}{along} ({event.why})"


def _wait_cancelled(_event: WaitCancelled) -> str:
    return "no longer waits: its backoff or park is cancelled"


def _deleted(_event: Deleted) -> str:
    return "was deleted"


def _suspect(event: Suspect) -> str:
    return f"is suspect: silent for {event.age:.1f} s" if event.suspect else "is heard again"


def _stalled(event: Stalled) -> str:
    return f"has made no progress for {event.seconds:.1f} s" if event.seconds else "makes progress again"


def _unkillable(event: Unkillable) -> str:
    return f"is unkillable: {', '.join(map(str, event.pids))} got SIGKILL and did not die"


def _status(event: StatusText) -> str:
    return f"says: {event.status}{f' (and {event.skipped} notifications before, which are not kept)' if event.skipped else ''}"


def _notifications_refused(event: NotificationsRefused) -> str:
    return f"has dropped {event.strangers} notifications of strangers, and {event.malformed} that were malformed"


def refusals(refused: Mapping[str, Mapping[str, int]]) -> str:
    """What was refused at each door, counted by reason."""
    doors = (f"{door}: {', '.join(f'{count} {why}' for why, count in sorted(counts.items()))}" for door, counts in sorted(refused.items()))
    return "; ".join(doors)


def _tree_ready(_event: TreeReady) -> str:
    return "the tree is ready"


def _tree_refused(event: TreeRefused) -> str:
    return f"the tree has refused so far: {refusals(event.refused)}"


def _events_lost(event: EventsLost) -> str:
    return f"{event.count} events before this one are missing from the journal: {event.why}"


def _events_skipped(event: EventsSkipped) -> str:
    return f"{event.count} events before the next one are not kept here; the journal has them"


_WORDS: dict[type[Event], Callable[[Any], str]] = {
    Starting: _starting,
    Started: _started,
    Ready: _ready,
    Stopping: _stopping,
    Exited: _exited,
    Ignored: _ignored,
    Decided: _decided,
    WaitCancelled: _wait_cancelled,
    Deleted: _deleted,
    Suspect: _suspect,
    Stalled: _stalled,
    Unkillable: _unkillable,
    StatusText: _status,
    NotificationsRefused: _notifications_refused,
    TreeReady: _tree_ready,
    TreeRefused: _tree_refused,
    EventsLost: _events_lost,
    EventsSkipped: _events_skipped,
}
"""What is said of an event, by its type; of a child without naming it."""


def moment(event: Event) -> str:
    """One event in words, without the name of the child that it is about."""
    return printable(_WORDS[type(event)](event))


def sentence(said: Mapping[str, Any]) -> str:
    """One event, as clients get it, in words, without its time; one of a type that is not known by its name."""
    try:
        event = decode(said).event
    except UnknownEvent:
        return printable(f"{said.get('id')}: {said.get('event')}")
    lead = f"{_life(event)}{': ' if isinstance(event, Decided) else ' '}" if isinstance(event, ChildEvent) else ""
    return printable(lead) + moment(event)


def line(said: Mapping[str, Any]) -> str:
    """One event, as clients get it, as a line with its time of day (UTC)."""
    return f"{printable(str(said.get('at'))[11:23])}  {sentence(said)}"
