"""What the two kinds of agent actor share: beginning, pinging, ending with a last word."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import structlog
from thespian.actors import ActorAddress

from ..base.dispatch import on
from ..base.loop_actor import LoopActor
from ..base.messages import AgentAnswered, Ask, Begin, Condemned, Ended, Notified, Stalled, Started, Stop, Tell, Unask, Unkillable
from ..deaths.evidence import Evidence, SweptLog, bounded_environment, said_as_evidence, shortened, usage
from ..errors import InputRefused
from ..exits import CauseId, Exit, ExitClass
from ..kernel.linux import set_name
from ..kernel.sweep import sweep
from ..notify.notification import Notification, Pinger
from ..output.last_words import in_order
from ..output.output_log import OutputLog, log_path
from ..spec.agent_secrets import agent_redactor
from ..spec.agent_spec import AgentSpec, Ready
from ..spec.env_file import EnvFileRefused, read_env_file
from .confinement import Account, CannotConfine, Confinement, other_account
from .environment import agent_environment, base_environment
from .progress import Progress


class AgentActor(LoopActor):
    """Runs one incarnation of one agent, then exits; `run` and `stop` are the kind's own."""

    spec: AgentSpec
    owns_program: ClassVar[bool]
    """Whether what it ran was a program, and not its own process."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers = dict(
            [
                on(Begin, self.on_begin),
                on(Stop, self.on_stop),
                on(Tell, self.on_tell),
                on(Ask, self.on_ask),
                on(Unask, self.on_unask),
                on(Notified, self.on_notified),
            ]
        )

    def on_begin(self, begin: Begin, sender: ActorAddress) -> None:
        self.begin, self.supervisor, self.spec = begin, self.open(sender), begin.spec
        set_name(f"st:{begin.id}")
        self._prepare()
        self.swept = SweptLog(self.redactor)
        structlog.configure(processors=[*structlog.get_config()["processors"], self._hide])
        self.output = OutputLog(log_path(begin.context.state_dir, begin.id), begin.incarnation)
        self.output.clean, self.output.safe_end = self.redactor.line, self.redactor.safe_end
        if begin.incarnation == 1 and self.output.size:
            self.output.write("suptree", f"the run of {begin.context.run_began} begins: #1 of an earlier run is above".encode())
        self.last_look: Callable[[], None] = _nothing
        """Takes in what the agent's processes wrote past this one; called when none of them is left."""
        self.progress = Progress(self.spec.progress, self._stalled, partial(self.condemned, ExitClass.HUNG, CauseId.NO_PROGRESS))
        self.is_ready = asyncio.Event()
        """Set when it has started, or, where that is asked for, has said `READY=1`."""
        self.pinger = Pinger(begin.context.runtime_dir)
        self.begin_pings(self.spec.heartbeat.interval, self.pinger.ping)
        self.spawn(self.run())

    def on_stop(self, stop: Stop, _sender: ActorAddress) -> None:
        if stop.incarnation == self.begin.incarnation and not self.ended:
            self.stop()

    def on_tell(self, tell: Tell, _sender: ActorAddress) -> None:
        if self._takes(tell, self.tell, tell):
            self.answer(tell.request)

    def on_ask(self, ask: Ask, _sender: ActorAddress) -> None:
        self._takes(ask, self.ask, ask)

    def on_unask(self, unask: Unask, _sender: ActorAddress) -> None:
        if not self.ended:
            self.unask(unask.request)

    def _takes(self, said: Tell, take: Callable[[Any], None], what: Any) -> bool:
        """Whether the agent took what somebody said; who said it hears why not."""
        refusal = "it has ended" if self.ended else None
        try:
            if not self.ended:
                take(what)
        except InputRefused as error:
            refusal = str(error)
        if refusal is not None:
            self.answer(said.request, "refused", refusal, ends=self.ended)
        return refusal is None

    def answer(self, request: str, answer: str = "ok", value: Any = None, more: bool = False, ends: bool = False) -> None:
        """Answer the client that said something; with `more` in part. `ends`: the agent has ended, or ends over this."""
        self.supervisor.tell(AgentAnswered(self.begin.id, self.begin.incarnation, request, answer, value, more, ends))

    def on_notified(self, notified: Notified, _sender: ActorAddress) -> None:
        if notified.incarnation == self.begin.incarnation and not self.ended:
            self.hear(notified.said)

    def hear(self, said: Notification) -> None:
        """Take in what the agent says of itself."""
        if said.ready:
            self.is_ready.set()
        if said.status is not None:
            self.progress.hear(waits=said.waits)

    def begin_pings(self, interval: float, ping: Callable[[], None]) -> None:
        """Ping now and then every `interval` seconds, for as long as it goes on."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Find out what it runs with: before anything of it is written down, so that its secrets are known."""
        self.refusal: str | None = None
        """Why it cannot run as its table says."""
        from_file: dict[str, str] = {}
        self.account: Account | None = None
        try:
            from_file = read_env_file(self.spec.env_from) if self.spec.env_from is not None else {}
            self.account = other_account(self.spec.user)
        except EnvFileRefused as refused:
            self.refusal = f"env_from {refused}"
        except CannotConfine as refused:
            self.refusal = str(refused)
        context = self.begin.context
        # An actor, which a native agent is too, needs the descriptors.
        nofile = context.nofile if self.owns_program else None
        self.confinement = Confinement(self.spec, self.account, umask=context.umask, nofile=nofile)
        self.environment = agent_environment(self.begin, from_file, self.account)
        self.redactor = agent_redactor(self.spec, base_environment(self.account), from_file)

    async def run(self) -> None:
        """Run the agent from start to end."""
        raise NotImplementedError

    def stop(self) -> None:
        """Begin to end the agent, or, when that has begun, take the next rung now."""
        raise NotImplementedError

    def tell(self, said: Tell) -> None:
        """Hand the agent a line from outside, or the end of its input, without waiting for it. Raises InputRefused."""
        raise NotImplementedError

    def ask(self, question: Ask) -> None:
        """Put a question to the agent, to be answered later, and once. Raises InputRefused."""
        raise NotImplementedError

    def unask(self, request: str) -> None:
        """Let a question be, and do not answer it."""

    def started(self, pid: int | None = None) -> None:
        """Tell the supervisor that the agent is up."""
        ready = self.spec.ready is not Ready.NOTIFY
        if ready:
            self.is_ready.set()
        self.supervisor.tell(Started(self.begin.id, self.begin.incarnation, pid, ready=ready))

    def condemned(self, exit_class: ExitClass, cause: CauseId | None, why: str) -> None:
        """Ask the supervisor to end the agent; it records the cause first, so that the exit is classed by it."""
        self.supervisor.tell(Condemned(self.begin.id, self.begin.incarnation, exit_class, shortened(self.redactor.text(why)), cause))

    def unkillable(self, pids: list[int]) -> None:
        """Tell the supervisor what does not die."""
        self.supervisor.tell(Unkillable(self.begin.id, self.begin.incarnation, tuple(pids)))

    async def finish(self, how: Exit, *, ignored: bool = False) -> None:
        """End whatever is left below us, say how the agent ended, and exit."""
        self.ended = True
        await sweep(tuple, self.unkillable, self.swept.note)
        self.last_look()
        evidence = self._evidence()
        for process in self.swept.swept:
            self.output.write("suptree", f"ended process {process.pid}, which it had left behind: {process.command}".encode())
        self.clean_up()
        self.output.close()
        reason = shortened(self.redactor.text(how.reason))
        how = replace(how, reason=reason, last_error=None if how.last_error is None else self.redactor.text(how.last_error))
        self.end(Ended(self.begin.id, self.begin.incarnation, how, evidence, ignored))

    def _hide(self, _logger: Any, _method: str, line: Any) -> str:
        """What it logs itself, rendered before this."""
        return self.redactor.text(line)

    def _evidence(self) -> Evidence:
        return Evidence(
            **said_as_evidence(in_order(self.output.tails)),
            swept=self.swept.swept,
            environment=bounded_environment(self.redactor.environment()),
            usage=usage(of_children=self.owns_program),
        )

    def _stalled(self, seconds: float) -> None:
        self.supervisor.tell(Stalled(self.begin.id, self.begin.incarnation, seconds))


def _nothing() -> None:
    """Nothing is written past the actor."""
