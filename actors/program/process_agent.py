"""The actor that owns one external program."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar

from thespian.actors import ActorAddress

from ..agent.agent_actor import AgentActor
from ..agent.hunger import bound_without_group
from ..agent.limits import Limits
from ..base.deadlines import Deadlines
from ..base.dispatch import on
from ..base.messages import Ask, Hears, RunsAs, Tell
from ..deaths.exit_classes import WORD_PREFIX, Word, explain_exit, parse_word, says_why
from ..errors import InputRefused
from ..exits import CauseId, Exit, ExitClass
from ..kernel.cgroup import Cgroup, Groups
from ..kernel.linux import own_children
from ..kernel.sweep import process_ended, reap_zombies, sweep
from ..notify.notification import Notification
from ..output.last_words import last_error
from ..output.line_splitter import LineSplitter
from ..output.output_reader import Drain
from ..spec.agent_spec import Stdin
from .hooks import HookFailed, Hooks
from .probes import ProbeFailed, probe_until_unhealthy
from .program import CannotExecute, execute, refused
from .program_input import ProgramInput
from .program_streams import ProgramStreams, open_streams
from .start_again import TRY_FOR, start_again
from .stop_ladder import Rung, StopLadder

# After the sweep nobody holds the pipes; what is in them is read well within this.
_DRAIN_LIMIT = 5.0
# Behind a progress bar a word stands on the same line.
_ENDS = re.compile(rb"[\r\n]")


class ProcessAgent(AgentActor):
    """Starts a program in a session of its own, drains its output, and ends it rung by rung."""

    owns_program: ClassVar[bool] = True
    # A Stop may come before `run` has begun.
    _stop_requested = False
    _ladder: StopLadder | None = None
    _deadlines: Deadlines | None = None
    _program: asyncio.subprocess.Process | None = None
    _groups = Groups()
    _input: ProgramInput | None = None
    _bound: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self) -> None:
        super().__init__()
        self._stop_asked = asyncio.Event()
        self.handlers |= dict([on(Hears, self.on_hears)])

    def begin_pings(self, interval: float, ping: Callable[[], None]) -> None:
        """Ping by the timer of the process: no code but ours runs here."""
        self.every_idle(interval, ping)

    async def run(self) -> None:
        """The whole life of the program."""
        self._word: Word | None = None
        self._has_ended = asyncio.Event()
        self._is_heard = asyncio.Event()
        self._descent: asyncio.Task[None] | None = None
        deadlines = self._deadlines = Deadlines(self.loop, self.spec.stop.extend_at_most)
        self._ladder = StopLadder(self._has_ended, deadlines)
        self._groups = self.begin.context.groups.below(self.begin.id, self.begin.incarnation)
        self._limits = Limits(self.spec.limits, partial(self.condemned, ExitClass.BUDGET), deadlines)
        self._cgroup = Cgroup(self._groups)
        self._hooks = Hooks(self._join, self.confinement, partial(self.output.write, "hook"))
        try:
            await self._may_run()
            self._make_bounds()
            streams, program = await start_again(
                self._start_program,
                ran_before=self.begin.ran_before,
                try_for=min(TRY_FOR, self.spec.heartbeat.startup_timeout / 2),
                stop_asked=self._stop_asked,
                say=lambda reason: self.output.write("err", f"[suptree] {reason}".encode()),
            )
            self._program = program
        except CannotExecute as refusal:
            await self.finish(self._not_started(refusal))
            return
        started_at = time.monotonic()
        # Not the loop's own handler: with one, the loop is woken by every signal, our pings' timer too.
        signal.signal(signal.SIGCHLD, lambda _number, _frame: self.loop.call_soon_threadsafe(self._reap, program.pid))
        drains = [await self._drain(*output) for output in streams.outputs]
        self._input = await ProgramInput.of(streams)
        self._limits.begin(program.pid, held=self._cgroup.held)
        self.started(program.pid)
        watching = self.loop.create_task(self._watch_health(program.pid))
        if self._stop_requested:
            self._descend()
        await process_ended(program.pid)
        ran_for, ended_at = time.monotonic() - started_at, datetime.now(UTC)
        self.ended = True
        self._has_ended.set()
        self._limits.end()
        self.progress.end()
        # A probe that runs is ended with it.
        watching.cancel()
        await asyncio.wait([watching])
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # What the kernel ends at once can be looked at no more.
        self.swept.note_all(keep={program.pid})
        self._groups.kill()
        await sweep(lambda: {program.pid}, self.unkillable, self.swept.note)
        if self._descent is not None:
            await self._descent
        code = await program.wait()
        await asyncio.wait([drain.ended for drain in drains], timeout=_DRAIN_LIMIT)
        for drain in drains:
            drain.close()
        oom_kills = self._cgroup.oom_kills()
        how = explain_exit(code, stop_requested=self._stop_requested, oom_kills=oom_kills, word=self._word, exit_codes=self.spec.exit_codes)
        how = replace(how, last_error=self._last_error(how, ended_at), during_start=ran_for < self.spec.min_uptime)
        exit_variables = {"SUPTREE_EXIT_CLASS": how.exit_class.value, "SUPTREE_EXIT_REASON": how.reason}
        await self._run_hook("post_exit", self.spec.hooks.post_exit, exit_variables)
        await self.finish(how)

    def _make_bounds(self) -> None:
        """What the kernel is to hold of its limits: by its groups, else as it can."""
        limits = self.spec.limits
        self._cgroup.make(limits.memory_max, limits.pids_max, limits.cpu_max)
        user_id = os.geteuid() if self.account is None else self.account.uid
        self._bound = bound_without_group(limits, self._cgroup.held, user_id)

    def _join(self) -> None:
        """Called in each new process of the agent: into its groups, and within what they do not limit."""
        self._cgroup.join()
        self._bound()

    async def _start_program(self) -> tuple[ProgramStreams, asyncio.subprocess.Process]:
        try:
            streams = open_streams(self.spec.stdin)
        except OSError as error:
            raise refused(self.spec, error) from None
        try:
            return streams, await execute(self.spec, self.environment, streams, self._join, self.confinement)
        except CannotExecute:
            streams.close_our_ends()
            raise

    def _not_started(self, refusal: CannotExecute) -> Exit:
        if self._stop_requested:
            return Exit(ExitClass.SHUTDOWN, "stop requested", during_start=True)
        passes = refusal.cause is CauseId.SHORTAGE
        return Exit(ExitClass.FAILED if passes else ExitClass.PERMANENT, str(refusal), during_start=True, cause=refusal.cause)

    def stop(self) -> None:
        """Climb down the ladder; when that has begun, skip a rung."""
        if self._stop_requested:
            if self._ladder is not None:
                self._ladder.skip()
            return
        self._stop_requested = True
        self._stop_asked.set()
        if self._program is not None:
            self._descend()

    def hear(self, said: Notification) -> None:
        """It may ask for more time."""
        super().hear(said)
        if said.extend is not None and self._deadlines is not None:
            self._deadlines.extend(said.extend)

    async def _may_run(self) -> None:
        """When it runs as another user, wait until what it says is listened to: so nothing of it is lost. Raises CannotExecute."""
        if self.account is not None and self.refusal is None:
            self.supervisor.tell(RunsAs(self.begin.id, self.begin.incarnation, self.account.uid))
            await self._is_heard.wait()
        if self.refusal is not None:
            raise CannotExecute(self.refusal)

    def on_hears(self, hears: Hears, _sender: ActorAddress) -> None:
        if hears.incarnation == self.begin.incarnation:
            self.refusal = self.refusal or hears.refusal
            self._is_heard.set()

    def clean_up(self) -> None:
        """Nothing of the program lives: remove its control groups."""
        self._groups.remove()

    def tell(self, said: Tell) -> None:
        """Write a line to the stdin of the program, or end it. Raises InputRefused."""
        if self.spec.stdin is Stdin.NULL:
            raise InputRefused('it has no stdin that could be written to: set stdin = "pipe" or "pty"')
        if self._input is None:
            raise InputRefused("it has not started yet")
        if said.text is not None:
            self._input.tell(said.text.encode())
        if said.eof:
            self._input.close()

    def ask(self, _question: Ask) -> None:
        """A program cannot be asked. Raises InputRefused."""
        raise InputRefused("it is a program, and only a native agent can be asked: see tell")

    def _last_error(self, how: Exit, ended_at: datetime) -> str | None:
        return last_error(self.output.tails, ended_at) if says_why(how) else None

    async def _drain(self, descriptor: int, stream: str) -> Drain:
        return await Drain.reading(descriptor, LineSplitter(self.output, stream, self._hear), self._limits.count_output)

    def _hear(self, lines: bytes) -> None:
        if WORD_PREFIX in lines:
            for line in _ENDS.split(lines):
                self._word = parse_word(line) or self._word

    def _reap(self, program: int) -> None:
        # Where a hook is starting, its end has us called again.
        if not self._hooks.pids.starting:
            reap_zombies({program, *self._hooks.pids})

    async def _watch_health(self, pid: int) -> None:
        """From the moment when it is ready."""
        await self.is_ready.wait()
        self.progress.begin(pid, lambda: self._limits.output)
        if self.spec.liveness_probe.is_set:
            wrong = await probe_until_unhealthy(self.spec.liveness_probe, self._run_probe)
            self.condemned(ExitClass.UNHEALTHY, CauseId.PROBE_FAILED, wrong)

    async def _run_probe(self, argv: tuple[str, ...], limit: float) -> None:
        said: list[bytes] = []
        hooks = Hooks(self._join, self.confinement, said.append, self._hooks.pids)
        try:
            await hooks.run(argv, cwd=self.spec.cwd, environment=self.environment, limit=limit)
        except HookFailed as failure:
            last = f" ({said[-1].decode(errors='replace').strip()[:200]})" if said else ""
            raise ProbeFailed(f"{failure}{last}") from None

    def _descend(self) -> None:
        stop = self.spec.stop
        assert self._ladder is not None  # noqa: S101  (it is there before there is a program)
        rungs = [
            Rung("pre_stop", lambda: self._run_hook("pre_stop", self.spec.hooks.pre_stop, {}), 0.0 if self.spec.hooks.pre_stop else None),
            Rung("stdin closed", self._close_input, (stop.cancel or None) if self._input is not None else None),
            # Each with SIGCONT, as systemd does it: one that is stopped hears nothing else.
            Rung("SIGINT", lambda: self._signal_group(signal.SIGINT, signal.SIGCONT), stop.sigint or None),
            Rung("SIGTERM", lambda: self._signal_group(signal.SIGTERM, signal.SIGCONT), stop.sigterm or None),
            Rung("SIGKILL", self._kill_all, 0.0),
        ]
        self._descent = self.spawn(self._ladder.climb_down(rungs))

    def _close_input(self) -> None:
        if self._input is not None:
            self._input.close()

    def _kill_all(self) -> None:
        self._signal_group(signal.SIGKILL)
        self._groups.kill()

    def _signal_group(self, *numbers: signal.Signals) -> None:
        # The program led its own session from the start, and is not reaped yet: the group is ours, and its number is not reused.
        program = self._program
        if program is not None and program.returncode is None and program.pid in own_children():
            for number in numbers:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(program.pid, number)

    async def _run_hook(self, which: str, argv: tuple[str, ...], more: dict[str, str]) -> None:
        if not argv:
            return
        try:
            await self._hooks.run(argv, cwd=self.spec.cwd, environment={**self.environment, **more}, limit=self.spec.hooks.timeout)
        except HookFailed as failure:
            self.output.write("suptree", f"{which} hook: {failure}".encode())
