"""The questions that a native agent is answering: each is answered once, also when the agent ends."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from ..base.messages import Ask
from ..errors import InputRefused
from .agent_code import call, end_copy
from .agent_errors import meaning_of

REPLY_LIMIT = 1024 * 1024
"""How many bytes a reply has at most, as JSON."""
QUESTIONS_LIMIT = 100
"""How many questions an agent answers at the same time."""
# Each message between actors costs more than most parts of a reply are long.
_SEND_EVERY = 0.05

Answer = Callable[[str, str, Any, bool, bool], None]
"""Reports the outcome of a request: request, answer, value, whether more follows, and whether the agent ends (see `AgentAnswered`)."""


def failure(message: str, error: BaseException | None = None) -> dict[str, Any]:
    """What a client is answered instead of a reply; with the class of the exit, if that error ends the agent."""
    ends = meaning_of(error)
    return {"message": message, "class": ends and ends.exit_class.value, "retry_after": ends and ends.retry_after}


class _ReplyRefused(Exception):
    """The agent gave something that is no reply; the text says why."""


class Questions:
    """Runs the agent's `ask` for each question, many at the same time.

    `answer` reports the outcome of each; `describe` puts an error of the agent into words; `fatal` is called with an error that ends the
    agent: an AgentEnds (see meaning_of), or one that is no `Exception`. Any other error is an answer, and the agent lives on. `settled`
    returns when what the agent has learned by answering is kept: only then is the reply sent.
    """

    def __init__(
        self,
        agent: Any,
        *,
        answer: Answer,
        describe: Callable[[BaseException], str],
        fatal: Callable[[BaseException], None],
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        self._agent = agent
        # Questions come when it is not running.
        self._loop = asyncio.get_running_loop()
        self._answer = answer
        self._describe = describe
        self._fatal = fatal
        self._settled = settled
        self._open: dict[str, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._ready: dict[str, Any] = {}
        """Replies that are there, and wait for what was learned to be kept."""

    def take(self, ask: Ask) -> None:
        """Begin to answer. Raises InputRefused."""
        if self._method(stream=ask.stream) is None:
            raise InputRefused("it has no ask() that answers questions")
        # One that keeps its cancellation to itself counts as well.
        if len(self._running) >= QUESTIONS_LIMIT:
            raise InputRefused(f"it is answering {QUESTIONS_LIMIT} questions already")
        task = self._loop.create_task(self._reply(ask))
        self._open[ask.request] = task
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def take_back(self, request: str) -> None:
        """Nobody waits for the answer any more."""
        self._ready.pop(request, None)
        if task := self._open.pop(request, None):
            task.cancel()

    def end(self, why: str) -> None:
        """The agent ends: answer every client that still waits."""
        for request, task in list(self._open.items()):
            if request in self._ready:
                self._close(request, "ok", self._ready[request])
            else:
                self._close(request, "failed", failure(why), ends=True)
            task.cancel()

    def _method(self, *, stream: bool) -> Any:
        whole, parts = getattr(self._agent, "ask", None), getattr(self._agent, "ask_stream", None)
        return parts or whole if stream else whole or parts

    def _close(self, request: str, answer: str, value: Any, *, ends: bool = False) -> None:
        if self._open.pop(request, None) is not None:
            self._answer(request, answer, value, False, ends)
        self._ready.pop(request, None)

    async def _reply(self, ask: Ask) -> None:
        """Nothing that the agent may raise leaves the task."""
        try:
            result: Any = await call(self._method(stream=ask.stream), ask.text)
            if hasattr(result, "__aiter__"):
                result = await self._read(result, ask)
            else:
                result = self._whole(result, ask)
            self._ready[ask.request] = result
            await self._settled()
        except _ReplyRefused as refusal:
            self._close(ask.request, "failed", failure(str(refusal)))
        except asyncio.CancelledError:
            self._close(ask.request, "failed", failure("its ask() was cancelled"))
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            # Without the error around it, whose text may be of the conversation.
            meaning = meaning_of(error)
            ends = meaning is not None or not isinstance(error, Exception)
            self._close(ask.request, "failed", failure(self._describe(error), error), ends=ends)
            if ends:
                self._fatal(meaning or error)
        else:
            self._close(ask.request, "ok", result)

    async def _read(self, parts: Any, ask: Ask) -> Any:
        """The whole of a reply that comes in parts; or, where they are sent on as they come, how many were sent."""
        sending = _Sending(lambda part: self._send(ask.request, part)) if ask.stream else None
        texts: list[str] = []
        size = 0
        try:
            async for part in parts:
                end_copy()
                if not isinstance(part, str):
                    raise _ReplyRefused(f"a part of its reply was a {type(part).__name__}, not text")
                size += _plain(part)[1]
                if size > REPLY_LIMIT:
                    raise _too_long()
                if sending is None:
                    texts.append(part)
                else:
                    sending.add(part)
        finally:
            end_copy(sys.exception())
            if sending is not None:
                sending.flush()
            if close := getattr(parts, "aclose", None):
                await close()
        return "".join(texts) if sending is None else sending.count

    def _whole(self, reply: Any, ask: Ask) -> Any:
        """A reply that came as a whole; where parts are wanted, it is the only one."""
        reply, size = _plain(reply)
        if size > REPLY_LIMIT:
            raise _too_long()
        if ask.stream:
            self._send(ask.request, {"number": 1, "part": reply})
            return 1
        return reply

    def _send(self, request: str, part: dict[str, Any]) -> None:
        if request in self._open:
            self._answer(request, "more", part, True, False)


class _Sending:
    """Numbers the parts of a reply and sends them: the first immediately, then what has come in a while together."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._waiting: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self.count = 0

    def add(self, text: str) -> None:
        self._waiting.append(text)
        if self._timer is None:
            self._next()

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._send_waiting()

    def _next(self) -> None:
        more = self._send_waiting()
        self._timer = asyncio.get_running_loop().call_later(_SEND_EVERY, self._next) if more else None

    def _send_waiting(self) -> bool:
        if not self._waiting:
            return False
        self.count += 1
        self._send({"number": self.count, "part": "".join(self._waiting)})
        self._waiting.clear()
        return True


def _plain(reply: Any) -> tuple[Any, int]:
    """A reply as nothing but JSON values, and how many bytes it has."""
    try:
        text = json.dumps(reply, ensure_ascii=False, allow_nan=False)
        return json.loads(text), len(text.encode())
    except (TypeError, ValueError, RecursionError):
        raise _ReplyRefused(f"its reply, a {type(reply).__name__}, is not what JSON can express") from None


def _too_long() -> _ReplyRefused:
    return _ReplyRefused(f"its reply is longer than {REPLY_LIMIT} bytes")
