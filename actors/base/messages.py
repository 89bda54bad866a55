"""The messages between actors. Each names its child by id and incarnation, never by address: addresses are reused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from thespian.actors import ActorAddress

from ..deaths.evidence import Evidence
from ..events.entry import Entry
from ..exits import CauseId, Exit, ExitClass
from ..kernel.cgroup import Groups
from ..notify.notification import Notification
from ..spec.agent_spec import HeartbeatSpec, Limit

OWN_HEARTBEAT = HeartbeatSpec(interval=2.0, suspect_after=10.0, dead_after=30.0)
"""That of the tree's own processes: they run no code but ours, and the end of one is felt by many."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every actor of a tree must know of the tree."""

    tree: str
    run_id: str
    state_dir: str
    runtime_dir: str
    sys_path: tuple[str, ...] = ()
    groups: Groups = Groups()
    shared_dir: str = ""
    """Where other users may look; made when an agent runs as another user."""
    umask: int = 0o077
    nofile: Limit | None = None
    """Both as they were when suptree was started."""
    run_began: str = ""
    """When this run of the tree began (UTC, ISO 8601)."""
    heartbeat: HeartbeatSpec = OWN_HEARTBEAT
    """When the silence of supervisors and services counts."""


@dataclass(frozen=True, slots=True)
class Services:
    """Where the registry and the heartbeat actor are now; sent down the tree whenever that changes."""

    registry: ActorAddress | None = None
    heartbeat: ActorAddress | None = None


# Between a supervisor and its child


@dataclass(frozen=True, slots=True)
class Begin:
    """The first message to every actor: who it is and what to run."""

    id: str
    incarnation: int
    restarts: int
    spec: Any = field(repr=False)
    context: Context
    services: Services
    supervisor: str | None = None
    ran_before: bool = False
    """Whether an earlier incarnation of it was up, under the same supervisor."""


@dataclass(frozen=True, slots=True)
class Started:
    """The child is up. `pid` is its program's, if it has one; `ready` is False while it has yet to say `READY=1`."""

    id: str
    incarnation: int
    pid: int | None = None
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Ended:
    """The child's last word: nothing of it is left but its actor, which exits next. `ignored`: it declined to start (OTP: `ignore`).

    `evidence` comes with every end of an agent.
    """

    id: str
    incarnation: int
    exit: Exit
    evidence: Evidence | None = None
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Tell:
    """A client has something to say to the agent: a line for the stdin of its program, or a message for its `handle`.

    With `eof` its input ends after that; then `text` may be None.
    """

    id: str
    incarnation: int
    request: str
    text: str | None
    eof: bool = False


@dataclass(frozen=True, slots=True)
class Ask(Tell):
    """A client has a question to the agent (`text`), and wants its reply; with `stream` in parts, as they come."""

    stream: bool = False


@dataclass(frozen=True, slots=True)
class Attach:
    """A client wants a socket that leads to the stdin and stdout of the agent's program."""

    id: str
    incarnation: int
    request: str


@dataclass(frozen=True, slots=True)
class Unask:
    """The client waits for the reply no longer."""

    id: str
    incarnation: int
    request: str


@dataclass(frozen=True, slots=True)
class AgentAnswered:
    """What the agent did with a Tell, an Ask or an Attach.

    `answer` is `ok` (the value is the reply, if one was wanted whole, or how many parts it had), `refused` (not taken; the value says why),
    or `failed` (it was taken, but there is no reply; the value has `message`, `class` and `retry_after`). With `more` another one follows,
    and the value has the `number` of a part, from 1, and the `part`. `ends`: it says that the agent has ended, or ends over it, and no
    client is to know that before the end is in the picture.
    """

    id: str
    incarnation: int
    request: str
    answer: str = "ok"
    value: Any = None
    more: bool = False
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Condemned:
    """The agent must end, for a cause that its supervisor records first: its exit is classed by it. `why` is for people."""

    id: str
    incarnation: int
    exit_class: ExitClass
    why: str
    cause: CauseId | None = None


@dataclass(frozen=True, slots=True)
class Stalled:
    """The agent has made no progress for `seconds`, or, with 0, makes some again."""

    id: str
    incarnation: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Unkillable:
    """These processes of the child have been sent SIGKILL and do not die; it ends when they have."""

    id: str
    incarnation: int
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """Climb the stop ladder; a second one skips a rung."""

    id: str
    incarnation: int


def is_for(message: "Stop | Tell | Attach | Unask | Notified", begin: "Begin") -> bool:
    """Whether a message is for the actor that has begun with that.

    It may be for one that is dead, whose port another actor has been given since.
    """
    return (message.id, message.incarnation) == (begin.id, begin.incarnation)


@dataclass(frozen=True, slots=True)
class RunsAs:
    """The agent is about to run as another user. It waits for Hears, for until then nobody would receive what it says."""

    id: str
    incarnation: int
    user_id: int


# Between supervisors


@dataclass(frozen=True, slots=True)
class QuotaHit:
    """A member of a quota group ran into its quota; every supervisor that receives this sends it on to its other neighbours."""

    quota_group: str
    retry_after: float | None


# Between supervisors and the heartbeat actor


@dataclass(frozen=True, slots=True)
class Watch:
    """Expect pings of this incarnation: of its actor always, of its program within `watchdog` seconds where that is given.

    While it is `starting` no ping is expected yet, but what its processes say is received. `user_id` is the user that they run as, where
    that is another one: the answer is Hears. What the processes below a supervisor say is not said by the supervisor, which pings `alone`.
    `suspect` is what its supervisor has heard of it.
    """

    id: str
    incarnation: int
    spec: HeartbeatSpec
    actor_pid: int
    program_pid: int | None = None
    watchdog: float | None = None
    starting: bool = False
    user_id: int | None = None
    alone: bool = False
    suspect: bool = False


@dataclass(frozen=True, slots=True)
class Hears:
    """The heartbeat actor receives what processes of the user say, unless there is a `refusal`; the supervisor sends it on to the agent."""

    id: str
    incarnation: int
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Unwatch:
    """Expect no more pings of this incarnation."""

    id: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Unwatched:
    """All that this incarnation said before its end has been sent to its supervisor."""

    id: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Silent:
    """No ping from this incarnation has come for `age` seconds; `source` is `actor` or `program`."""

    id: str
    incarnation: int
    age: float
    source: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """No ping has come for longer than `suspect_after`, or, with `suspect=False`, one has come again."""

    id: str
    incarnation: int
    suspect: bool
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Notified:
    """The agent said something of itself (sd_notify); its supervisor sends this on to the agent's actor.

    It said more than is passed on: `skipped` notifications are merged into this one.
    """

    id: str
    incarnation: int
    said: Notification
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The heartbeat actor has dropped so many datagrams since it began: from strangers, or not of the protocol."""

    id: str
    incarnation: int
    strangers: int
    malformed: int


@dataclass(frozen=True, slots=True)
class PingAgesAsked:
    """The registry wants to know how old the last pings are."""

    request: str


@dataclass(frozen=True, slots=True)
class PingAges:
    """Id to seconds since its last ping."""

    request: str
    ages: Mapping[str, float]


# Between supervisors and the registry


@dataclass(frozen=True, slots=True)
class Reported:
    """One event, for the journal and for every client."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a supervisor knows of its children, for a registry that is new; `recent` are its latest events, which that may know."""

    supervisor: str
    rows: Mapping[str, Any]
    recent: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Flush:
    """A supervisor that has started, or is about to end, asks for a Flushed when everything that it sent has arrived."""

    number: int


@dataclass(frozen=True, slots=True)
class Flushed:
    """Everything that the supervisor sent before the Flush of that number has arrived."""

    number: int


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """What a client asks of the supervisor of `target`; `request` is the id of the request itself."""

    request: str
    operation: str
    target: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a ClientRequest: an OTP answer (`ok`, `not_found`, …) and a value; with `more` a part of it, and more follows."""

    request: str
    answer: str
    value: Any = None
    more: bool = False
