"""Serving: a native agent that has been created runs, answers questions, and is watched, until it ends or must end."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from ..base.messages import Ask
from ..errors import InputRefused
from ..exits import Exit, ExitClass
from .agent_code import call
from .agent_errors import AgentErrors
from .creating import Created
from .health_check import HealthCheck
from .questions import Answer, Questions

_CANCELLED = "its run() was cancelled"


class Serving:
    """One agent at work.

    `must_end` is the Exit of an agent that ends by something else than its `run()`, once there is one; `end_over` is called with an error
    that ends it. `answer` reports the outcome of a question.
    """

    def __init__(
        self,
        created: Created,
        *,
        errors: AgentErrors,
        health: HealthCheck,
        must_end: "asyncio.Future[Exit]",
        end_over: Callable[[BaseException], None],
        answer: Answer,
    ) -> None:
        self._agent = created.agent
        self._checkpoints = created.checkpoints
        self._errors = errors
        self._must_end = must_end
        self._end_over = end_over
        # Messages come when the loop is not running.
        self._loop = must_end.get_loop()
        self._may_return = asyncio.Event()
        self._handling: set[asyncio.Task[None]] = set()
        self._questions = Questions(
            self._agent, answer=answer, describe=errors.describe_of_ask, fatal=end_over, settled=self._checkpoints.settled
        )
        self._main = self._loop.create_task(self._work())
        self._beside = {
            self._loop.create_task(health.watch(self._agent, end_over)),
            self._loop.create_task(self._checkpoints.run()),
        }

    async def end(self) -> Exit:
        """How the agent ended, once it has; what it still runs is cancelled, and what cannot be goes on."""
        waiting: set[asyncio.Future[Any]] = {self._main, self._must_end, *self._beside}
        while not (self._main.done() or self._must_end.done()):
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done & self._beside:
                # An error in it is ours.
                task.result()
        if self._must_end.done():
            how = self._must_end.result()
        else:
            how = Exit(ExitClass.FAILED, _CANCELLED) if self._main.cancelled() else self._main.result()
        for running in (self._main, *self._beside):
            running.cancel()
        return how

    def cancel(self) -> None:
        """Cancel its `run()`, or let it return where the agent has none."""
        self._may_return.set()
        self._main.cancel()

    def tell(self, text: str) -> None:
        """Run its `handle(text)`; an error in that ends the agent, as one in its `run()` does. Raises InputRefused."""
        handle = getattr(self._agent, "handle", None)
        if handle is None:
            raise InputRefused("it has no handle() that takes messages")
        handling = self._loop.create_task(self._handle(handle, text))
        self._handling.add(handling)
        handling.add_done_callback(self._handling.discard)

    def ask(self, question: Ask) -> None:
        """Have it answered by its `ask(prompt)`; an error in that is the answer. Raises InputRefused."""
        self._questions.take(question)

    def unask(self, request: str) -> None:
        """Cancel what would answer it."""
        self._questions.take_back(request)

    def end_questions(self, why: str) -> None:
        """Answer every client that still waits."""
        self._questions.end(why)

    async def _work(self) -> Exit:
        """Run its `run()`; nothing that this may raise leaves the task, where asyncio would let some of it through."""
        work = getattr(self._agent, "run", None)
        try:
            result = await call(work) if work is not None else await self._may_return.wait()
            if inspect.isasyncgen(result) or inspect.isgenerator(result):
                return Exit(ExitClass.PERMANENT, "its run() is a generator, which nobody iterates: there is a yield in it")
        except asyncio.CancelledError:
            return Exit(ExitClass.FAILED, _CANCELLED)
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            return self._errors.exit_of(error)
        return Exit(ExitClass.NORMAL, "run() returned")

    async def _handle(self, handle: Callable[[str], Any], text: str) -> None:
        try:
            await call(handle, text)
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            self._end_over(error)
        else:
            self._checkpoints.soon()
