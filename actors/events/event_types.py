"""Every event that can happen in a tree, a type each. `docs/events.md` is made from this file: `python -m tests.events.events_page`.

Clients see an event as a JSON object: its fields, and those of its entry (`entry.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from ..exits import Exit


class Kind(StrEnum):
    """What an event is about."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    SERVICE = "service"
    """The registry or the heartbeat actor."""
    TREE = "tree"


CHILDREN = (Kind.AGENT, Kind.SUPERVISOR, Kind.SERVICE)


@dataclass(frozen=True, slots=True)
class ChildEvent:
    """An event in the life of a child: of which kind it is, its id, and which of its incarnations."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]] = CHILDREN

    kind: Kind
    id: str
    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting(ChildEvent):
    """The supervisor has begun to start an incarnation: its actor has been forked. `actor_pid` is null where that is not possible yet,
    because the limit of processes, memory or descriptors is reached; the event comes again when it has been.

    `restarts` counts the restarts of the child that nobody asked for. `type` and `config` (name, role, model, restart, command, args, cwd,
    factory: those that it has) describe an agent, `type` a service; `strategy`, `max_restarts` and `within` (seconds) a supervisor.
    """

    name: ClassVar[str] = "starting"

    restarts: int
    actor_pid: int | None = None
    type: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    strategy: str | None = None
    max_restarts: int | None = None
    within: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(ChildEvent):
    """The child said that it runs. `pid` is its program's, if it has one; `ready` is false while it has yet to say `READY=1`."""

    name: ClassVar[str] = "started"

    pid: int | None = None
    ready: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(ChildEvent):
    """The program of the agent said `READY=1`."""

    name: ClassVar[str] = "ready"
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.AGENT,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping(ChildEvent):
    """The supervisor has begun to stop the child, or the agent said `STOPPING=1`. `why` is for people; there is none for a plain stop."""

    name: ClassVar[str] = "stopping"

    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited(ChildEvent):
    """The incarnation has ended, and nothing of it is left.

    `swept` are the pids of the processes that it left behind, no more than some thousand of them; all were ended.
    """

    name: ClassVar[str] = "exited"

    exit: Exit
    swept: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored(ChildEvent):
    """The child declined to start (OTP: `ignore`), and nothing of it is left."""

    name: ClassVar[str] = "ignored"

    exit: Exit
    swept: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided(ChildEvent):
    """The supervisor decided what follows from an end.

    `decision` is `restart`, `leave`, `hold`, `park`, `quarantine`, `escalate`, `auto_shutdown`, or `wait`: a sibling starts, and another
    decision follows. `why` is for people; `delay` is how many seconds a restart or park waits. `affected` are the children that are
    restarted together; `restarts_left` is what the limit that governs the child allows still; `charged` says whether this restart counts
    there.
    """

    name: ClassVar[str] = "decided"

    decision: str
    why: str
    delay: float = 0.0
    affected: tuple[str, ...] = ()
    restarts_left: int | None = None
    charged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitCancelled(ChildEvent):
    """The backoff or park of the child is over before its time: a person has started or stopped it, or its supervisor has other plans."""

    name: ClassVar[str] = "wait_cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted(ChildEvent):
    """A client has deleted the child, which did not run, and with a supervisor all below it: no status shows it until its id is started."""

    name: ClassVar[str] = "deleted"
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.AGENT, Kind.SUPERVISOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect(ChildEvent):
    """No ping has come for longer than `suspect_after`: for `age` seconds; or, with `suspect` false, one has come again."""

    name: ClassVar[str] = "suspect"

    suspect: bool
    age: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled(ChildEvent):
    """The agent has made no progress for `seconds`, or, with 0, makes some again."""

    name: ClassVar[str] = "stalled"
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.AGENT,)

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unkillable(ChildEvent):
    """These processes of the child were sent SIGKILL and do not die; its end is not over until they have."""

    name: ClassVar[str] = "unkillable"

    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusText(ChildEvent):
    """The agent described itself (sd_notify: `STATUS=`), in words for people, of which 500 characters are kept.

    Of an agent that says much in a short time this is the last; `skipped` notifications before it were not written down.
    """

    name: ClassVar[str] = "status"
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.AGENT,)

    status: str
    skipped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationsRefused(ChildEvent):
    """The heartbeat actor has dropped so many datagrams since it began: from strangers, or not of the protocol."""

    name: ClassVar[str] = "refused"
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.SERVICE,)

    strangers: int
    malformed: int


@dataclass(frozen=True, slots=True)
class TreeEvent:
    """An event that is about the whole tree, and about no child."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.TREE,)

    kind: Kind = field(default=Kind.TREE, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeReady(TreeEvent):
    """All children of the tree are up for the first time."""

    name: ClassVar[str] = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRefused(TreeEvent):
    """What the doors have refused in this run so far: by door, the count of each reason."""

    name: ClassVar[str] = "refused"

    refused: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsLost(TreeEvent):
    """So many events before this one are missing from the journal, because it could not be written, or was deleted; `why` is for people."""

    name: ClassVar[str] = "events_lost"

    count: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSkipped(TreeEvent):
    """So many events are not sent: the launcher keeps the latest 10,000, and as many of what may come again and again.

    Then the client asked for older ones, or was too slow. It comes first, with the `seq` before that of the first event that is sent, and
    is not in the journal. A client that adds events up to a picture has to begin again with `GET /picture`, as a client of Kubernetes has
    to after `410 Gone`.
    """

    name: ClassVar[str] = "events_skipped"

    count: int


Event = ChildEvent | TreeEvent

EVENT_TYPES: tuple[type[Event], ...] = (
    Starting,
    Started,
    Ready,
    Stopping,
    Exited,
    Ignored,
    Decided,
    WaitCancelled,
    Deleted,
    Suspect,
    Stalled,
    Unkillable,
    StatusText,
    NotificationsRefused,
    TreeReady,
    TreeRefused,
    EventsLost,
    EventsSkipped,
)
"""All of them, in the order in which a life passes through; nothing else can be written down."""

_PASSING_TYPES = (Suspect, Stalled, StatusText, NotificationsRefused, TreeRefused)


def event_name(event_type: type[Event], kind: Kind) -> str:
    """The name by which clients know an event: `agent_started`."""
    return f"{kind}_{event_type.name}"


BY_EVENT_NAME: dict[str, tuple[type[Event], Kind]] = {
    event_name(event_type, kind): (event_type, kind) for event_type in EVENT_TYPES for kind in event_type.kinds
}

PASSING = frozenset(name for name, (event_type, _) in BY_EVENT_NAME.items() if event_type in _PASSING_TYPES)
"""The names of the events that strangers, and programs, can cause again and again: each says all that the one before said, or replaces it.
They are kept apart, so that they push no others out."""
