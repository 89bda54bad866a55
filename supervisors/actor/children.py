"""What a supervisor remembers of each child that lives."""

import asyncio
import multiprocessing.process
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from thespian.actors import ActorAddress

from suptree.actors.agent.environment import base_environment
from suptree.actors.base.channel import Outbox
from suptree.actors.base.deadlines import Deadline, Deadlines
from suptree.actors.base.messages import Ended
from suptree.actors.events.event_types import Kind
from suptree.actors.exits import Exit
from suptree.actors.kernel.end_below import EndBelow
from suptree.actors.kernel.kill_below import kill_held
from suptree.actors.notify.notification import Notification
from suptree.actors.output.redaction import Redactor
from suptree.actors.spec.agent_secrets import agent_redactor, variables_in_file
from suptree.actors.spec.agent_spec import AgentSpec, Ready
from suptree.actors.state import AgentType

from ..spec.child_spec import BRUTAL_KILL, ChildSpec
from ..spec.tree_spec import SupervisorSpec


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One of the tree's own services: `registry` or `heartbeat`."""

    name: str


def kind(start: Any) -> Kind:
    """Which kind of child a spec starts."""
    return Kind.AGENT if isinstance(start, AgentSpec) else Kind.SERVICE if isinstance(start, ServiceSpec) else Kind.SUPERVISOR


def redactor_of(spec: ChildSpec, *from_files: Mapping[str, str]) -> Redactor:
    """What hides the secrets of a child in everything that is written about it."""
    if isinstance(spec.start, AgentSpec):
        return agent_redactor(spec.start, base_environment(None), *from_files)
    return Redactor({}, {})


def description(spec: ChildSpec, redactor: Redactor) -> dict[str, Any]:
    """What the event of its start says of a child."""
    start = spec.start
    if isinstance(start, AgentSpec):
        config: dict[str, Any] = {"name": start.name, "role": start.role, "model": start.model, "restart": spec.restart.value}
        config["labels"] = dict(start.labels)
        if start.agent_type is AgentType.PROCESS_WRAPPER:
            command, *args = redactor.command((start.command or "", *start.args))
            config |= {"command": command, "args": args, "cwd": start.cwd, "stdin": start.stdin.value}
        else:
            config |= {"factory": start.factory}
        return {"type": start.agent_type.value, "config": {key: value for key, value in config.items() if value}}
    if isinstance(start, SupervisorSpec):
        flags = start.flags
        return {"strategy": flags.strategy.value, "max_restarts": flags.max_restarts, "within": flags.within}
    return {"type": start.name}


@dataclass(slots=True)
class LivingChild:
    """One incarnation whose actor has been forked and is not yet buried."""

    spec: ChildSpec
    incarnation: int
    channel: Outbox
    pid: int
    process: multiprocessing.process.BaseProcess
    pidfd: int
    redactor: Redactor
    deadlines: Deadlines
    """All of this incarnation: for its start, its stop, and the kill that the core has set a timer for."""
    killed: Callable[["LivingChild"], None]
    """Called each time that its actor is to be killed."""
    below: EndBelow | None = None
    """Since its actor was killed, until that is dead."""
    gone: bool = False
    """Its actor is dead."""
    unkillable: bool = False
    """Processes of it do not die: its end may never be over."""
    heard_out: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when everything has arrived that the heartbeat actor received from it."""
    begun: bool = False
    """Its actor said that it runs; `started` also waits for `READY=1` where that is asked for."""
    started: bool = False
    program_pid: int | None = None
    last_word: Ended | None = None
    cause: Exit | None = None
    stopping: bool = False
    deadline: Deadline | None = None
    """By when it must be ready, or, after its `STOPPING=1`, have ended."""
    real_address: ActorAddress | None = None
    """As others must know it; the one in `channel` means something to us alone."""
    user_id: int | None = None
    """As whom its program runs, if not as we do."""
    suspect: bool = False
    """No ping comes, as the heartbeat actor said last."""
    announced_stop: bool = False
    """It said `STOPPING=1`."""
    waits: bool = False
    """Its last `STATUS=` said that it waits."""
    own_watchdog: float | None = None
    """The `WATCHDOG_USEC=` that it said, in seconds; 0 is none."""

    from_files: list[Mapping[str, str]] = field(default_factory=list)
    """What its `env_from` held at each look."""

    def learn_secrets(self) -> None:
        """From now on hide what the file of `env_from` holds, and what it held before: the file may change while the actor starts."""
        if isinstance(self.spec.start, AgentSpec) and self.spec.start.env_from is not None:
            self.from_files.append(variables_in_file(self.spec.start))
            self.redactor = redactor_of(self.spec, *self.from_files)

    def hear(self, said: Notification) -> None:
        """Take in what it says of itself, as sd_notify(3) has it."""
        self.announced_stop |= said.stopping
        if said.status is not None:
            self.waits = said.waits
        if said.watchdog is not None:
            self.own_watchdog = said.watchdog
        if said.extend is not None:
            self.deadlines.extend(said.extend)

    def kill(self) -> None:
        """SIGKILL for its actor, if that lives: what it has left behind, its supervisor sees to."""
        if self.gone:
            return
        self.killed(self)
        # Its program dies with it; what that leaves behind becomes the supervisor's, and is swept before the burial ends.
        kill_held(self.pidfd)

    @property
    def notifies(self) -> bool:
        """Whether its program is meant to speak sd_notify, or has."""
        spec = self.spec.start
        return isinstance(spec, AgentSpec) and (spec.watchdog or spec.ready is Ready.NOTIFY or self.announced_stop or self.waits)

    @property
    def stop_time(self) -> float:
        """How many seconds a stop may take."""
        return 0.0 if self.spec.shutdown is BRUTAL_KILL else self.spec.shutdown

    @property
    def watchdog(self) -> float | None:
        """Within how many seconds its program must ping now; None when it need not."""
        spec = self.spec.start
        starts = spec.ready is Ready.NOTIFY and not self.started
        if self.program_pid is None or starts or self.waits or self.announced_stop:
            return None
        configured = spec.heartbeat.dead_after if spec.watchdog else None
        return configured if self.own_watchdog is None else self.own_watchdog or None

    @property
    def id(self) -> str:
        """Its id in the tree."""
        return self.spec.id

    @property
    def kind(self) -> Kind:
        """Which kind of child it is."""
        return kind(self.spec.start)

    @property
    def life(self) -> tuple[Kind, str, int]:
        """What every event of this incarnation begins with: kind, id and incarnation."""
        return self.kind, self.id, self.incarnation


class NamesChild(Protocol):
    """A message or a command about one incarnation of a child."""

    @property
    def id(self) -> str:
        """The id of the child."""

    @property
    def incarnation(self) -> int:
        """The number of the incarnation."""


class Children(dict[str, LivingChild]):
    """The children of one supervisor that live, by id."""

    def named_by(self, about: NamesChild) -> LivingChild | None:
        """The child that a message or a command is about, if that incarnation lives."""
        child = self.get(about.id)
        return child if child is not None and child.incarnation == about.incarnation else None
