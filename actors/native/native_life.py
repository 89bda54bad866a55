"""The life of one native agent: it is created, serves, and is concluded."""

import asyncio
import os
import threading
from dataclasses import replace
from functools import partial
from typing import Any

from ..agent.incarnation import Conclusion, Incarnation
from ..agent.usage_limits import UsageLimits, this_process
from ..base.messages import Ask, Attach, Tell
from ..deaths.evidence import usage_of_this_process
from ..errors import InputRefused
from ..exits import CauseId, Exit, ExitClass
from .agent_code import end_copy, watch_forks
from .agent_errors import AgentErrors, meaning_of
from .concluding import conclude, shut_down
from .creating import Created, Plan, confine, create
from .health_check import HealthCheck
from .native_output import NativeOutput
from .serving import Serving

_NOT_STARTED = "it has not started yet"


class NativeLife:
    """Makes an agent with its factory, runs its `run()`, and ends it with its `shutdown()`.

    A factory that makes None declines to start an agent (OTP: `ignore`).
    """

    def __init__(self, incarnation: Incarnation) -> None:
        self._incarnation = incarnation
        self._loop = asyncio.get_event_loop()
        self._must_end: asyncio.Future[Exit] = self._loop.create_future()
        self._errors = AgentErrors(incarnation.note, incarnation.redactor.text)
        self._limits = UsageLimits(incarnation.spec.limits, partial(incarnation.condemn, ExitClass.BUDGET))
        self._output = NativeOutput(incarnation.output, incarnation.redactor, self._limits.count_output)
        self._health = HealthCheck(
            incarnation.spec.heartbeat,
            incarnation.is_ready,
            began=lambda: incarnation.progress.begin(os.getpid(), lambda: incarnation.output.size),
            unwell=partial(incarnation.condemn, ExitClass.UNHEALTHY, CauseId.HEALTH_CHECK_FAILED),
        )
        self.hear = incarnation.hear
        self._serving: Serving | None = None
        self._created: Created | None = None
        # A Stop may come before it serves.
        self._stop_requested = False
        self._shutting_down: asyncio.Task[None] | None = None

    async def live(self) -> Conclusion:
        """From the factory to the last word of the agent."""
        watch_forks()
        self._hear_lost_errors()
        self._output.redirect()
        created = await self._create()
        if created is None:
            return Conclusion(Exit(ExitClass.NORMAL, "its factory made no agent"), usage_of_this_process, ignored=True)
        if isinstance(created, Exit):
            return Conclusion(await self._incarnation.judged(replace(created, during_start=True)), usage_of_this_process)
        how = await self._serve(created)
        self._output.close()
        return Conclusion(how, usage_of_this_process)

    def ping(self) -> None:
        """Ping by the loop, which it shares with the agent; what else is done every interval is done with it: to be woken is what costs."""
        self._incarnation.pinger.ping()
        self._health.ask_soon()
        self._output.look()

    def end_over(self, error: BaseException) -> None:
        """Something that the agent raised outside of its `run()` ends it."""
        end_copy(error)
        if not self._must_end.done():
            self._must_end.set_result(self._errors.exit_of(error))

    def stop(self) -> None:
        """Ask the agent to shut down; a second request cancels its `run()` immediately."""
        if not self._stop_requested:
            self._stop_requested = True
            self._shut_down()
        elif self._serving is not None:
            self._serving.cancel()

    def tell(self, said: Tell) -> None:
        """Run its `handle(text)`. Raises InputRefused."""
        if said.eof or said.text is None:
            raise InputRefused("it is a native agent, which has no stdin that could end")
        self._serves().tell(said.text)

    def ask(self, question: Ask) -> None:
        """Have it answered by its `ask(prompt)`. Raises InputRefused."""
        self._serves().ask(question)

    def attach(self, _attach: Attach) -> None:
        """A native agent has neither. Raises InputRefused."""
        raise InputRefused("it is a native agent, which has no stdin and stdout of its own: see ask")

    def unask(self, request: str) -> None:
        """Cancel what would answer it."""
        if self._serving is not None:
            self._serving.unask(request)

    def clean_up(self) -> None:
        """Nobody is left who could write to the log past us."""
        self._output.look()

    def _serves(self) -> Serving:
        if self._serving is None:
            raise InputRefused(_NOT_STARTED)
        return self._serving

    async def _create(self) -> Created | Exit | None:
        incarnation = self._incarnation
        creating = self._loop.create_task(
            create(
                Plan.of(incarnation),
                errors=self._errors,
                confine=partial(confine, incarnation),
                report_status=incarnation.pinger.say,
                note=incarnation.note,
            )
        )
        waiting: list[asyncio.Future[Any]] = [creating, self._must_end]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if creating.done():
            return creating.result()
        creating.cancel()
        return self._must_end.result()

    async def _serve(self, created: Created) -> Exit:
        incarnation = self._incarnation
        # Its memory is that of this process, which the kernel cannot limit apart from us.
        self._limits.begin(this_process)
        incarnation.report_started()
        serving = Serving(
            created,
            errors=self._errors,
            health=self._health,
            must_end=self._must_end,
            end_over=self.end_over,
            answer=incarnation.answer,
        )
        self._created, self._serving = created, serving
        if self._stop_requested:
            self._shut_down()
        how = await serving.end()
        incarnation.progress.end()
        self._limits.end()
        if self._shutting_down is not None:
            await asyncio.wait([self._shutting_down])
            how = Exit(ExitClass.SHUTDOWN, "stop requested")
        else:
            how = await incarnation.judged(await conclude(how, created.checkpoints, incarnation.condemn))
        serving.end_questions(f"it ended meanwhile: {incarnation.redactor.text(how.summary)}")
        return how

    def _shut_down(self) -> None:
        if self._created is not None:
            self._shutting_down = self._incarnation.spawn(self._shut_down_and_cancel(self._created))

    async def _shut_down_and_cancel(self, created: Created) -> None:
        await shut_down(created.agent, created.checkpoints, self._incarnation.spec.stop.cancel, self._incarnation.note)
        self._serves().cancel()

    def _hear_lost_errors(self) -> None:
        """An AgentEnds that no code of the agent has taken, in a task, a callback or a thread, ends it too."""
        of_loop, of_threads = self._loop.get_exception_handler(), threading.excepthook

        def hear_loop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            if error is not None and meaning_of(error) is not None:
                self.end_over(error)
            elif of_loop is not None:
                of_loop(loop, context)

        def hear_thread(raised: threading.ExceptHookArgs) -> None:
            if raised.exc_value is not None and meaning_of(raised.exc_value) is not None:
                self._loop.call_soon_threadsafe(self.end_over, raised.exc_value)
            else:
                of_threads(raised)

        self._loop.set_exception_handler(hear_loop)
        threading.excepthook = hear_thread
