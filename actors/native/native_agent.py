"""The actor that runs one native agent: an object of the user's, on the loop of a process of its own."""

import asyncio
import contextlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ..agent.agent_actor import AgentActor
from ..agent.confinement import CannotConfine
from ..agent.hunger import bound_without_group
from ..agent.limits import Limits
from ..base.log_sink import log_stream_on, log_to
from ..base.messages import Ask, Tell
from ..deaths.evidence import shortened
from ..deaths.exit_classes import classify
from ..errors import AgentEnds, InputRefused
from ..exits import CauseId, Exit, ExitClass
from ..output.raw_output import RawOutput
from ..output.redaction import redact_logging
from .checkpointing import Checkpointing
from .checkpoints import Checkpoints
from .factory import call_factory
from .native_output import log_stream
from .questions import Questions
from .status_report import report_statuses

_OWN_STDOUT = Path("/proc/self/fd/1")
_NOT_STARTED = "it has not started yet"
_CANCELLED = "its run() was cancelled"
_RECORDED = (ExitClass.BUDGET, ExitClass.HUNG)
"""What others find about an agent that runs, and that it may find itself."""


class NativeAgent(AgentActor):
    """Makes an agent with its factory, runs its `run()`, and ends it with its `shutdown()`.

    A factory that makes None declines to start an agent (OTP: `ignore`).
    """

    owns_program: ClassVar[bool] = False
    runs_foreign_code: ClassVar[bool] = True
    _raw_output: tuple[RawOutput, ...] = ()
    # A Stop may come before `run` has begun.
    _stop_requested = False
    _main: asyncio.Task[Exit] | None = None
    _agent: Any = None
    _questions: Questions | None = None

    def begin_pings(self, interval: float, ping: Callable[[], None]) -> None:
        """Ping by the loop, which it shares with the agent; what else is done now and then is done with it: to be woken is what costs."""
        self._pinged = asyncio.Event()

        def ping_and_look() -> None:
            ping()
            self._pinged.set()
            self._look_at_raw_output()

        self.every(interval, ping_and_look)

    async def run(self) -> None:
        """The whole life of the agent."""
        self._stopping = asyncio.Event()
        self._must_end: asyncio.Future[Exit] = self.loop.create_future()
        self._limits = Limits(self.spec.limits, partial(self.condemned, ExitClass.BUDGET))
        self._redirect_output()
        creating = self.loop.create_task(self._begin_agent())
        await asyncio.wait([creating, self._must_end], return_when=asyncio.FIRST_COMPLETED)
        made = creating.result() if creating.done() else self._must_end.result()
        if isinstance(made, Exit):
            creating.cancel()
            await self.finish(replace(made, during_start=True))
            return
        self._agent = made
        if self._agent is None:
            await self.finish(Exit(ExitClass.NORMAL, "its factory made no agent"), ignored=True)
            return
        # Its memory is that of this process, which the kernel cannot be told to limit apart from us.
        self._limits.begin(os.getpid())
        self._questions = Questions(
            self._agent, answer=self.answer, explain=self._ask_raised, fatal=self._end_over, settled=self._checkpointing.settled
        )
        self.started()
        self._main = self.loop.create_task(self._work())
        watching = [self.spawn(self._watch_health()), self.spawn(self._checkpointing.run())]
        if self._stop_requested:
            self.spawn(self._shut_down())
        await asyncio.wait([self._main, self._must_end], return_when=asyncio.FIRST_COMPLETED)
        if self._must_end.done():
            how = self._must_end.result()
        else:
            how = Exit(ExitClass.FAILED, _CANCELLED) if self._main.cancelled() else self._main.result()
        # What cannot be cancelled is ended with the process.
        self._main.cancel()
        for task in watching:
            task.cancel()
        self.progress.end()
        self._limits.end()
        if self._stop_requested:
            await self._shutdown_done
            how = Exit(ExitClass.SHUTDOWN, "stop requested")
        elif how.exit_class is not ExitClass.FAILED:
            # It has not crashed: what it holds is sound.
            await self._checkpointing.take()
            if how.exit_class in _RECORDED:
                # As whatever else is found about it while it runs: the supervisor records it first.
                self.condemned(how.exit_class, how.cause, self.redactor.text(how.reason))
        self._questions.end(f"it ended meanwhile: {self.redactor.text(how.summary)}")
        # What it wrote without a newline at the end is kept too.
        sys.stdout.close()
        sys.stderr.close()
        await self.finish(how)

    async def _work(self) -> Exit:
        """Run its `run()`; nothing that this may raise leaves the task, where asyncio would let some of it through."""
        work = getattr(self._agent, "run", None)
        try:
            result = work() if work is not None else self._stopping.wait()
            if inspect.isawaitable(result):
                await result
            elif inspect.isasyncgen(result) or inspect.isgenerator(result):
                return Exit(ExitClass.PERMANENT, "its run() is a generator, which nobody iterates: there is a yield in it")
        except asyncio.CancelledError:
            return Exit(ExitClass.FAILED, _CANCELLED)
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            return self._exit_of(error)
        return Exit(ExitClass.NORMAL, "run() returned")

    def wants_to_end(self, wish: SystemExit | KeyboardInterrupt) -> None:
        """As if its `run()` had raised it, which may hear of it too."""
        self._end_over(wish)

    def _end_over(self, error: BaseException) -> None:
        """Something that it raised outside of its `run()` ends it."""
        if not self._must_end.done():
            self._must_end.set_result(self._exit_of(error))

    async def _watch_health(self) -> None:
        """Ask it again and again whether it is well, from the moment when it is ready; at the first no it is condemned."""
        await self.is_ready.wait()
        self.progress.begin(os.getpid(), lambda: self.output.size)
        if not hasattr(self._agent, "health_check"):
            return
        # What happens right after a good answer is found out within `dead_after` all the same.
        heartbeat = self.spec.heartbeat
        limit = max(heartbeat.dead_after - heartbeat.interval, heartbeat.dead_after / 5)
        while True:
            self._pinged.clear()
            await self._pinged.wait()
            check = self.loop.create_task(self._check_health())
            # Not asyncio.timeout: a user's code may keep the cancellation to itself.
            done, _ = await asyncio.wait([check], timeout=limit)
            wrong = check.result() if done else f"health_check() took longer than {limit:g} s"
            check.cancel()
            if wrong is not None:
                self.condemned(ExitClass.UNHEALTHY, CauseId.HEALTH_CHECK_FAILED, wrong)
                return

    async def _check_health(self) -> str | None:
        """What is wrong with it; nothing that `health_check()` may raise leaves the task."""
        try:
            well = self._agent.health_check()
            if inspect.isawaitable(well):
                well = await well
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            with contextlib.suppress(Exception):
                traceback.print_exception(error)
            return f"health_check() raised {_in_a_line(error)}"
        return "health_check() returned False" if well is False else None

    def stop(self) -> None:
        """Ask the agent to shut down; a second request cancels it at once."""
        if self._stop_requested:
            if self._main is not None:
                self._main.cancel()
            return
        self._stop_requested = True
        self._shutdown_done = self.loop.create_future()
        if self._main is not None:
            self.spawn(self._shut_down())

    def _look_at_raw_output(self) -> None:
        self.output.make_again()
        with contextlib.suppress(OSError):  # as everywhere: what becomes of its log harms no agent
            if not self._raw_output or not self._raw_output[-1].reads(1):
                # The log has rotated; child processes that were started before go on writing to the old file.
                self._raw_output = (*self._raw_output[-1:], RawOutput(_OWN_STDOUT, self.redactor, 0))
        for raw in self._raw_output:
            with contextlib.suppress(OSError):
                raw.look()

    def tell(self, said: Tell) -> None:
        """Run its `handle(text)`; an error in that ends the agent, as one in its `run()` does. Raises InputRefused."""
        if said.eof or said.text is None:
            raise InputRefused("it is a native agent, which has no stdin that could end")
        handle = getattr(self._agent, "handle", None)
        if handle is None:
            raise InputRefused(_NOT_STARTED if self._questions is None else "it has no handle() that could be told")
        self.spawn(self._handle(handle, said.text))

    async def _handle(self, handle: Any, text: str) -> None:
        try:
            result = handle(text)
            if inspect.isawaitable(result):
                await result
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            self._end_over(error)
        else:
            self._checkpointing.soon()

    def ask(self, question: Ask) -> None:
        """Have it answered by its `ask(prompt)`; an error in that is the answer. Raises InputRefused."""
        if self._questions is None:
            raise InputRefused(_NOT_STARTED)
        self._questions.take(question)

    def unask(self, request: str) -> None:
        """Cancel what would answer it."""
        if self._questions is not None:
            self._questions.take_back(request)

    async def _begin_agent(self) -> Any:
        """The agent, or the Exit of one that cannot begin; nothing that its factory may raise leaves the task."""
        try:
            self._confine()
            return await self._create_and_restore()
        except CannotConfine as refusal:
            return Exit(ExitClass.PERMANENT, str(refusal))
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            return self._exit_of(error)

    async def _create_and_restore(self) -> Any:
        """The agent, with the state of its last checkpoint where there is one."""
        store = Checkpoints(self.begin.context.state_dir, self.begin.id, self.begin.incarnation, self.spec.factory)
        while True:
            agent = await self._create()
            self._checkpointing = Checkpointing(
                agent,
                store,
                interval=self.spec.checkpoint_interval,
                limit=self.spec.heartbeat.dead_after,
                explain=self._told_error,
                say=self._note,
            )
            if agent is None or await self._checkpointing.restore():
                return agent

    def _confine(self) -> None:
        """This process is the agent's own from here on. Raises CannotConfine."""
        if self.refusal is not None:
            raise CannotConfine(self.refusal)
        os.environ.clear()
        os.environ.update(self.environment)
        self.confinement.enter()
        bound_without_group(self.spec.limits, frozenset(), os.geteuid())()

    async def _create(self) -> Any:
        spec = self.spec
        sys.path[:0] = [entry for entry in self.begin.context.sys_path if entry not in sys.path]
        assert spec.factory is not None  # noqa: S101  (the spec refuses to be built without)
        agent = call_factory(spec.factory, (self.begin.id, spec.name or self.begin.id, spec.role, spec.model, dict(spec.config)))
        if inspect.isawaitable(agent):
            agent = await agent
        if agent is not None:
            try:
                report_statuses(agent, self.pinger.say)
            except TypeError:
                self._note("what it says with update_heartbeat() is not shown: nothing can be put on it")
        return agent

    async def _shut_down(self) -> None:
        shutdown = getattr(self._agent, "shutdown", None)
        assert self._main is not None  # noqa: S101
        try:
            async with asyncio.timeout(self.spec.stop.cancel):
                if shutdown is not None:
                    done = shutdown()
                    if inspect.isawaitable(done):
                        await done
                await self._checkpointing.take()
        except TimeoutError:
            print(f"[suptree] its shutdown took longer than {self.spec.stop.cancel} s", file=sys.stderr)  # noqa: T201  (its own output)
        except BaseException:  # noqa: BLE001  (the agent ends all the same)
            traceback.print_exc()
        self._stopping.set()
        self._main.cancel()
        self._shutdown_done.set_result(None)

    def _exit_of(self, error: BaseException) -> Exit:
        """How an error of its own ends it."""
        if isinstance(error, AgentEnds):
            reason = _in_a_line(error)
            if error.exit_class is ExitClass.SHUTDOWN:
                return Exit(error.exit_class, reason, cause=error.cause)
            self._note(reason)
            return Exit(error.exit_class, reason, reason, error.retry_after, cause=error.cause)
        if isinstance(error, SystemExit) and isinstance(error.code, int | None):
            # Eight bits are what the kernel keeps of a status.
            how = classify((error.code or 0) & 0xFF)
            return replace(how, reason=f"sys.exit: {how.reason}")
        # Both run the error's own code, which may fail as well.
        with contextlib.suppress(Exception):
            traceback.print_exception(error)
        line = _in_a_line(error)
        return Exit(ExitClass.FAILED, line, last_error=line)

    def _told_error(self, error: BaseException) -> str:
        """An error, for whoever hears of it outside."""
        return shortened(self.redactor.text(_in_a_line(error)))

    def _ask_raised(self, error: BaseException) -> str:
        """What whoever asked is told; its log says where it was raised, and not what it says: that may be of the conversation."""
        if not isinstance(error, AgentEnds):
            self._note("".join([f"its ask() raised {type(error).__name__}\n", *traceback.format_tb(error.__traceback__)]).rstrip())
        return self._told_error(error)

    def _note(self, text: str) -> None:
        """A line of ours in its error output."""
        self.output.write("suptree", text.replace("\n", "\n[suptree] ").encode(errors="backslashreplace"))

    def _redirect_output(self) -> None:
        """Its prints go to its own log, line by line; what C code and child processes write goes to the same file as it is."""
        # What the actor itself logs still goes where it went.
        log_to(log_stream_on(os.dup(2)))
        for descriptor in (1, 2):
            self.output.redirect(descriptor)
        with contextlib.suppress(OSError):  # there is no log at present
            self._raw_output = (RawOutput(_OWN_STDOUT, self.redactor, os.fstat(1).st_size),)
        self.last_look = self._look_at_raw_output
        redact_logging(self.redactor)
        sys.stdout, sys.stderr = (
            log_stream(self.output, "out", self._limits.count_output),
            log_stream(self.output, "err", self._limits.count_output),
        )


def _in_a_line(error: BaseException) -> str:
    """An error in a line: an AgentEnds in its own words, or else that of its class; any other with its type."""
    says_itself = isinstance(error, AgentEnds)
    line = error.exit_class.value if isinstance(error, AgentEnds) else type(error).__name__
    # It runs the error's own code, which may fail as well.
    with contextlib.suppress(Exception):
        if said := str(error):
            line = (said if says_itself else f"{line}: {said}").splitlines()[0]
    return line
