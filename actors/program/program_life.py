"""The life of one external program: it is started, watched, ended rung by rung, and nothing of it is left."""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from ..agent.awake_time import within
from ..agent.hunger import bound_without_group
from ..agent.incarnation import Conclusion, Incarnation
from ..agent.usage_limits import UsageLimits
from ..base.deadlines import Deadlines
from ..base.messages import Ask, Attach, Hears, Tell
from ..base.termination import TERMINATION
from ..deaths.evidence import usage_of_children
from ..deaths.exit_classes import WORD_PREFIX, Word, explain_exit, oom_note, parse_word, says_why
from ..errors import InputRefused
from ..exits import CauseId, Exit, ExitClass
from ..kernel.cgroup import Cgroup
from ..kernel.linux import own_children
from ..kernel.sweep import process_ended, reap_zombies, sweep
from ..notify.notification import Notification
from ..output.last_words import last_error
from ..output.line_splitter import LineSplitter
from ..output.newest_part import BEGINS_AGAIN
from ..output.output_reader import OutputReader
from ..output.printable import printable
from ..spec.agent_spec import Stdin
from .execution import CannotExecute, execute, refused
from .hooks import HookFailed, HookNotRun, Hooks
from .orphan_reaper import OrphanReaper
from .probes import ProbeFailed, ProbeNotMade, probe_until_unhealthy
from .program_input import ProgramInput
from .program_streams import ProgramStreams, open_streams
from .start_again import TRY_FOR, start_again
from .stdio_attachment import StdioAttachment
from .stop_ladder import Act, Rung, StopLadder, Target

# After the sweep nobody holds the pipes; what is in them is read well within this.
_READ_REST_LIMIT = 5.0
_REAP_LIMIT = 5.0
# Behind a progress bar a word stands on the same line.
_ENDS = re.compile(rb"\n|" + BEGINS_AGAIN)


@dataclass(frozen=True, slots=True)
class _Running:
    """A program that has been started."""

    process: asyncio.subprocess.Process
    input: ProgramInput | None
    attachment: StdioAttachment | None
    readers: list[OutputReader]
    started_at: float

    @property
    def pid(self) -> int:
        return self.process.pid


class ProgramLife:
    """Starts a program in a session of its own, reads its output, and ends it rung by rung."""

    def __init__(self, incarnation: Incarnation) -> None:
        self._incarnation = incarnation
        self._spec = spec = incarnation.spec
        self.ping = incarnation.pinger.ping
        self._word: Word | None = None
        self._has_ended = asyncio.Event()
        self._is_heard = asyncio.Event()
        self._stop_requested = False
        self._stop_asked = asyncio.Event()
        self._descent: asyncio.Task[None] | None = None
        self._bound: Callable[[], None] = lambda: None
        self._running: _Running | None = None
        self._groups = incarnation.context.groups.below(incarnation.begin.id, incarnation.begin.incarnation)
        self._cgroup = Cgroup(self._groups)
        self._deadlines = Deadlines(asyncio.get_event_loop(), spec.stop.extend_at_most)
        self._limits = UsageLimits(spec.limits, partial(incarnation.condemn, ExitClass.BUDGET), self._deadlines)
        self._hooks = Hooks(self._join, incarnation.confinement, partial(incarnation.output.write, "hook"))
        targets: dict[Target, Act] = {
            Target.STDIN: self._close_input,
            Target.PROCESS_GROUP: self._signal_group,
            Target.NOTHING: lambda _rung: None,
            Target.EVERYTHING: self._kill_all,
        }
        if spec.hooks.pre_stop:
            targets[Target.PRE_STOP_HOOK] = self._run_pre_stop
        if spec.stdin is Stdin.NULL:
            del targets[Target.STDIN]
        self._ladder = StopLadder(spec, targets, self._has_ended, self._deadlines, terminated_for=self._terminated_for)

    async def live(self) -> Conclusion:
        """From the start of the program until nothing of it is left."""
        try:
            running = self._running = await self._start()
        except CannotExecute as refusal:
            return Conclusion(self._not_started(refusal), usage_of_children)
        await self._watch(running)
        ran_for, ended_at = time.monotonic() - running.started_at, datetime.now(UTC)
        code = await self._end_the_rest(running)
        return await self._conclude(code, ran_for, ended_at)

    def stop(self) -> None:
        """Climb down the ladder; when that has begun, skip a rung."""
        if self._has_ended.is_set():
            return
        if self._stop_requested:
            self._ladder.skip()
            return
        self._stop_requested = True
        self._stop_asked.set()
        if self._running is not None:
            self._descend()

    def hear(self, said: Notification) -> None:
        """The program may ask for more time."""
        self._incarnation.hear(said)
        if said.extend is not None:
            self._deadlines.extend(said.extend)

    def is_heard(self, hears: Hears) -> None:
        """The heartbeat actor hears the user that the program is to run as, or says why it cannot."""
        if hears.incarnation == self._incarnation.begin.incarnation:
            self._incarnation.refusal = self._incarnation.refusal or hears.refusal
            self._is_heard.set()

    def tell(self, said: Tell) -> None:
        """Write a line to the stdin of the program, or end it. Raises InputRefused."""
        if self._spec.stdin is Stdin.NULL:
            raise InputRefused('it has no stdin that could be written to: set stdin = "pipe" or "pty"')
        running = self._takes_input()
        if running.attachment is not None and running.attachment.is_attached:
            if said.text is not None:
                raise InputRefused("a client is attached to its stdin and stdout, and alone writes there")
            running.attachment.end_input_after_client()
            return
        assert running.input is not None  # noqa: S101
        if said.text is not None:
            running.input.tell(said.text.encode())
        if said.eof:
            running.input.close()

    def _takes_input(self) -> _Running:
        """The program, which runs. Raises InputRefused."""
        if self._has_ended.is_set():
            refusal = InputRefused("it has ended")
            refusal.ends = True
            raise refusal
        if self._running is None:
            raise InputRefused("it has not started yet")
        return self._running

    def attach(self, attach: Attach) -> None:
        """Answer with the path of a socket that leads to the stdin and stdout of the program. Raises InputRefused."""
        if self._spec.stdin is not Stdin.PIPE:
            raise InputRefused('a client can be attached only to a program with stdin = "pipe"')
        attachment = self._takes_input().attachment
        assert attachment is not None  # noqa: S101  (it has a pipe)
        self._incarnation.answer(attach.request, value={"socket": attachment.offer(), "incarnation": attach.incarnation})

    def ask(self, _question: Ask) -> None:
        """A program cannot be asked. Raises InputRefused."""
        raise InputRefused("it is a program, and only a native agent can be asked: see tell")

    def unask(self, _request: str) -> None:
        """No question was taken."""

    def clean_up(self) -> None:
        """Remove its control groups."""
        self._groups.remove()

    async def _start(self) -> _Running:
        """Raises CannotExecute."""
        incarnation, spec = self._incarnation, self._spec
        await self._may_run()
        self._make_bounds()
        streams, process = await start_again(
            self._execute,
            ran_before=incarnation.begin.ran_before,
            try_for=min(TRY_FOR, spec.heartbeat.startup_timeout / 2),
            stop_asked=self._stop_asked,
            say=incarnation.note,
        )
        started_at = time.monotonic()
        self._reaper = OrphanReaper(asyncio.get_running_loop(), partial(self._reap, process.pid))
        self._reaper.begin()
        program_input = await ProgramInput.of(streams)
        attachment = None
        if program_input is not None and spec.stdin is Stdin.PIPE:
            attachment = StdioAttachment(incarnation.context.runtime_dir, program_input, incarnation.spawn)
        readers = [await self._read(*output, attachment) for output in streams.outputs]
        if attachment is not None:
            attachment.begin(readers[0])
            incarnation.spawn(attachment.watch_end_of_output(self._has_ended))
        return _Running(process, program_input, attachment, readers, started_at)

    async def _execute(self) -> tuple[ProgramStreams, asyncio.subprocess.Process]:
        """Raises CannotExecute."""
        incarnation, spec = self._incarnation, self._spec
        try:
            streams = open_streams(spec.stdin)
        except OSError as error:
            raise refused(spec, error) from None
        try:
            return streams, await execute(spec, incarnation.environment, streams, self._join, incarnation.confinement)
        except CannotExecute:
            streams.close_our_ends()
            raise

    def _not_started(self, refusal: CannotExecute) -> Exit:
        if self._stop_requested:
            return Exit(ExitClass.SHUTDOWN, "stop requested", during_start=True)
        passes = refusal.cause is CauseId.SHORTAGE
        return Exit(ExitClass.FAILED if passes else ExitClass.PERMANENT, str(refusal), during_start=True, cause=refusal.cause)

    def _make_bounds(self) -> None:
        """What the kernel is to hold of its limits: by its groups, else as it can."""
        limits, account = self._spec.limits, self._incarnation.account
        self._cgroup.make(limits.memory_max, limits.pids_max, limits.cpu_max)
        self._bound = bound_without_group(limits, self._cgroup.held, os.geteuid() if account is None else account.uid)

    def _join(self) -> None:
        """Called in each new process of the agent: into its groups, and within what they do not limit."""
        self._cgroup.join()
        self._bound()

    async def _may_run(self) -> None:
        """When the program runs as another user, wait until that user is heard: so nothing that it says is lost. Raises CannotExecute."""
        incarnation = self._incarnation
        if incarnation.account is not None and incarnation.refusal is None:
            incarnation.report_user(incarnation.account.uid)
            await self._is_heard.wait()
        if incarnation.refusal is not None:
            raise CannotExecute(incarnation.refusal)

    async def _watch(self, running: _Running) -> None:
        """Return when the program has ended."""
        self._limits.begin(own_children, held=self._cgroup.held)
        self._incarnation.report_started(running.pid)
        watching = self._incarnation.spawn(self._watch_health(running.pid))
        if self._stop_requested:
            self._descend()
        await process_ended(running.pid)
        self._has_ended.set()
        self._limits.end()
        self._incarnation.progress.end()
        # A probe that runs is ended with the program.
        watching.cancel()
        await asyncio.wait([watching])

    async def _end_the_rest(self, running: _Running) -> int:
        """End all that the program has left; return its return code."""
        self._reaper.end()
        swept = self._incarnation.swept
        # What the kernel ends all together can no longer be looked at.
        swept.note_all(keep={running.pid})
        self._groups.kill()
        await sweep(lambda: {running.pid}, self._incarnation.report_unkillable, swept.note)
        await self._groups.kill_all()
        self._cgroup.limit_again()
        if self._descent is not None:
            await self._descent
        code = await self._reaped(running.process)
        if running.attachment is not None:
            await running.attachment.program_has_ended()
        await asyncio.wait([reader.ended for reader in running.readers], timeout=_READ_REST_LIMIT)
        for reader in running.readers:
            reader.close()
        if running.attachment is not None:
            running.attachment.close()
        return code

    async def _reaped(self, process: asyncio.subprocess.Process) -> int:
        """Its return code. One that is traced by another process cannot be reaped; that is reported, and waited for."""
        try:
            return await within(_REAP_LIMIT, process.wait())
        except TimeoutError:
            self._incarnation.report_unkillable([process.pid])
            return await process.wait()

    async def _conclude(self, code: int, ran_for: float, ended_at: datetime) -> Conclusion:
        oom_kills, spec = self._cgroup.oom_kills(), self._spec
        how = explain_exit(code, stop_requested=self._stop_requested, oom_kills=oom_kills, word=self._word, exit_codes=spec.exit_codes)
        said = last_error(self._incarnation.output.tails, ended_at) if says_why(how) else None
        how = await self._incarnation.judged(replace(how, last_error=said, during_start=ran_for < spec.min_uptime))
        notes: tuple[str, ...] = ()
        if oom_kills and how.exit_class is not ExitClass.OOM:
            notes = (f"While it ran, {oom_note(oom_kills)}; it ended later, and otherwise.",)
        peak = self._cgroup.peak_memory()
        # The program's own word may be a part of the reason, and hold what no variable can: NUL, or half of a surrogate pair.
        said_of_it = {"SUPTREE_EXIT_CLASS": how.exit_class.value, "SUPTREE_EXIT_REASON": printable(how.reason)}
        await self._run_hook("post_exit", spec.hooks.post_exit, **said_of_it)
        return Conclusion(how, partial(usage_of_children, peak), notes)

    async def _read(self, descriptor: int, stream: str, attachment: StdioAttachment | None) -> OutputReader:
        splitter = LineSplitter(self._incarnation.output, stream, self._look_for_word)
        heard = bytes if attachment is None or stream != "out" else attachment.heard
        return await OutputReader.reading(descriptor, splitter, self._limits.count_output, heard)

    def _look_for_word(self, lines: bytes) -> None:
        if WORD_PREFIX in lines:
            for line in _ENDS.split(lines):
                self._word = parse_word(line) or self._word

    def _reap(self, program: int) -> None:
        # Where a hook is starting, its end has us called again.
        if not self._hooks.pids.starting:
            reap_zombies({program, *self._hooks.pids})

    async def _watch_health(self, pid: int) -> None:
        """From the moment when it is ready."""
        await self._incarnation.is_ready.wait()
        self._incarnation.progress.begin(pid, lambda: self._limits.output)
        if self._spec.liveness_probe.is_set:
            wrong = await probe_until_unhealthy(self._spec.liveness_probe, self._run_probe)
            self._incarnation.condemn(ExitClass.UNHEALTHY, CauseId.PROBE_FAILED, wrong)

    async def _run_probe(self, argv: tuple[str, ...], limit: float) -> None:
        said: list[bytes] = []
        hooks = Hooks(self._join, self._incarnation.confinement, said.append, self._hooks.pids)
        try:
            await hooks.run(argv, cwd=self._spec.cwd, environment=self._incarnation.environment, limit=limit, leave_nothing=True)
        except HookNotRun:
            raise ProbeNotMade from None
        except HookFailed as failure:
            # Without its secrets before it is cut: what is left of a secret would not be known as one.
            last_line = self._incarnation.redactor.text(b"".join(said).rpartition(b"\n")[2].decode(errors="replace"))
            last = f" ({last_line.strip()[:200]})" if said else ""
            raise ProbeFailed(f"{failure}{last}") from None

    def _descend(self) -> None:
        self._descent = self._incarnation.spawn(self._ladder.climb_down())

    def _terminated_for(self) -> float | None:
        """For how many seconds the program has had a SIGTERM that every process of the tree was sent."""
        heard_for, running = TERMINATION.heard_for, self._running
        had_it = heard_for is not None and running is not None and heard_for < time.monotonic() - running.started_at
        return heard_for if had_it else None

    def _run_pre_stop(self, _rung: Rung) -> Awaitable[None]:
        return self._run_hook("pre_stop", self._spec.hooks.pre_stop)

    def _close_input(self, _rung: Rung) -> None:
        if self._running is not None and self._running.input is not None:
            self._running.input.close()

    def _kill_all(self, rung: Rung) -> None:
        self._signal_group(rung)
        self._groups.kill()

    def _signal_group(self, rung: Rung) -> None:
        # The program led its own session from the start, and is not reaped yet: the group is ours, and its number is not reused.
        running = self._running
        if running is not None and running.process.returncode is None and running.pid in own_children():
            for number in rung.signals:
                # All of them may have become somebody else's, by a set-user-ID program.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(running.pid, number)

    async def _run_hook(self, which: str, argv: tuple[str, ...], **more: str) -> None:
        if not argv:
            return
        environment = {**self._incarnation.environment, **more}
        try:
            await self._hooks.run(argv, cwd=self._spec.cwd, environment=environment, limit=self._spec.hooks.timeout)
        except HookFailed as failure:
            self._incarnation.note(f"{which} hook: {failure}")
