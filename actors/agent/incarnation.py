"""What an incarnation of either kind of agent has: its settings, the log of its output, and its reports to the supervisor."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..base.messages import AgentAnswered, Begin, Condemned, Ended, RunsAs, Stalled, Started, Unkillable
from ..base.termination import TERMINATION
from ..deaths.evidence import Evidence, SweptLog, Usage, bounded_environment, said_as_evidence, shortened
from ..exits import CauseId, Exit, ExitClass
from ..notify.notification import Notification, Pinger
from ..output.last_words import in_order
from ..output.output_log import OutputLog, log_path
from ..spec.agent_secrets import agent_redactor
from ..spec.agent_spec import AgentSpec, Ready
from ..spec.env_file import EnvFileRefused, read_env_file
from ..state import AgentType
from .confinement import Account, CannotConfine, Confinement, other_account
from .environment import agent_environment, base_environment
from .progress_watch import ProgressWatch

_LAST_ERROR_WIDTH = 500


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a life ended. `usage` is asked when nothing of the agent is left; `notes` are what its exit does not tell, a sentence each.

    `ignored`: the agent declined to start (OTP: `ignore`).
    """

    exit: Exit
    usage: Callable[[], Usage]
    notes: tuple[str, ...] = ()
    ignored: bool = False


class Incarnation:
    """One life of one agent. `report` sends a message to its supervisor; `spawn` runs a coroutine, an error of which ends the actor."""

    def __init__(self, begin: Begin, report: Callable[[Any], None], spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]) -> None:
        self.begin = begin
        self.spec: AgentSpec = begin.spec
        self.context = begin.context
        self.spawn = spawn
        self._report = report
        self.refusal: str | None = None
        """Why the agent cannot run as its table says."""
        self.account: Account | None = None
        from_file: dict[str, str] = {}
        try:
            from_file = read_env_file(self.spec.env_from) if self.spec.env_from is not None else {}
            self.account = other_account(self.spec.user)
        except EnvFileRefused as refused:
            self.refusal = f"env_from {refused}"
        except CannotConfine as refused:
            self.refusal = str(refused)
        # A native agent is an actor too, and needs the descriptors.
        nofile = self.context.nofile if self.spec.agent_type is AgentType.PROCESS_WRAPPER else None
        self.confinement = Confinement(self.spec, self.account, umask=self.context.umask, nofile=nofile)
        self.environment = agent_environment(begin, from_file, self.account)
        # Before anything is written down, so that its secrets are known.
        self.redactor = agent_redactor(self.spec, base_environment(self.account), from_file)
        self.swept = SweptLog(self.redactor)
        """The processes that it leaves behind."""
        self.output = OutputLog(log_path(self.context.state_dir, begin.id), begin.incarnation)
        self.output.clean, self.output.safe_end = self.redactor.line, self.redactor.safe_end
        if begin.incarnation == 1 and self.output.size:
            self.note(f"the run of {self.context.run_began} begins: #1 of an earlier run is above")
        self.progress = ProgressWatch(self.spec.progress, self.report_stalled, partial(self.condemn, ExitClass.HUNG, CauseId.NO_PROGRESS))
        self.is_ready = asyncio.Event()
        """Set when the agent has started, or, where that is asked for, has said `READY=1`."""
        self.pinger = Pinger(self.context.runtime_dir)

    def note(self, *texts: str) -> None:
        """Write some lines of ours into the agent's error output."""
        lines = "\n".join(text.replace("\n", "\n[suptree] ") for text in texts)
        self.output.write("suptree", lines.encode(errors="backslashreplace"))

    def hear(self, said: Notification) -> None:
        """Take in what the agent says of itself."""
        if said.ready:
            self.is_ready.set()
        if said.status is not None:
            self.progress.hear(waits=said.waits)

    def report_started(self, pid: int | None = None) -> None:
        """The agent is up; `pid` is that of its program."""
        ready = self.spec.ready is not Ready.NOTIFY
        if ready:
            self.is_ready.set()
        self._report(Started(self.begin.id, self.begin.incarnation, pid, ready=ready))

    def report_user(self, user_id: int) -> None:
        """The agent waits until processes of this user are heard."""
        self._report(RunsAs(self.begin.id, self.begin.incarnation, user_id))

    async def judged(self, how: Exit) -> Exit:
        """How it ended, as it counts: after SIGTERM to every process of the tree, on request."""
        if how.exit_class is ExitClass.SHUTDOWN or not await TERMINATION.explains(died_of_it=how.signal == signal.SIGTERM):
            return how
        return replace(how, exit_class=ExitClass.SHUTDOWN, cause=CauseId.TREE_TERMINATED, last_error=None, retry_after=None)

    def condemn(self, exit_class: ExitClass, cause: CauseId | None, why: str) -> None:
        """Ask the supervisor to end the agent; it records the cause first, so that the exit is classed by it."""
        self._report(Condemned(self.begin.id, self.begin.incarnation, exit_class, shortened(self.redactor.text(why)), cause))

    def report_unkillable(self, pids: list[int]) -> None:
        """These processes do not die."""
        self._report(Unkillable(self.begin.id, self.begin.incarnation, tuple(pids)))

    def report_stalled(self, seconds: float) -> None:
        """The agent has made no progress for so long; with 0, it makes some again."""
        self._report(Stalled(self.begin.id, self.begin.incarnation, seconds))

    def answer(self, request: str, answer: str = "ok", value: Any = None, more: bool = False, ends: bool = False) -> None:
        """Answer a Tell or an Ask; with `more` in part. `ends`: the agent has ended, or ends over this (see AgentAnswered)."""
        self._report(AgentAnswered(self.begin.id, self.begin.incarnation, request, answer, value, more, ends))

    def last_word(self, conclusion: Conclusion) -> Ended:
        """How the life ended, with the evidence, when nothing of it is left; its output is closed with this."""
        evidence = Evidence(
            **said_as_evidence(in_order(self.output.tails)),
            swept=self.swept.swept,
            environment=bounded_environment(self.redactor.environment()),
            usage=conclusion.usage(),
            notes=(*map(self.redactor.text, conclusion.notes), *self.swept.notes),
        )
        if swept := self.swept.swept:
            # Written together, for they may be many.
            ended = (f"ended process {process.pid}, which it had left behind: {process.command}" for process in swept)
            self.note(*ended, *self.swept.notes)
        self.output.close()
        how = conclusion.exit
        last_error = None if how.last_error is None else shortened(self.redactor.text(how.last_error), _LAST_ERROR_WIDTH)
        how = replace(how, reason=shortened(self.redactor.text(how.reason)), last_error=last_error)
        return Ended(self.begin.id, self.begin.incarnation, how, evidence, conclusion.ignored)
