"""How much of us one request may take: time, and room beside the others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog
from sse_starlette import EventSourceResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..refusals import Why

log = structlog.get_logger()

MOST_REQUESTS = 100
MOST_WAITING = 100
"""Requests that wait for as long as they say, for an agent; they are not among the others."""
MOST_FOLLOWERS = 64
ANSWER_LIMIT = 140.0
"""Seconds until an answer begins; longer than any command may take."""
TOO_LARGE = 413
_PING_EVERY = 15
_WAIT = "wait"
# The client knows better than we do what to say when the time is over: it has so many seconds longer.
_SLACK = 10.0


class Bounds:
    """Lets so many requests through to `app` at the same time, each for so long; an error inside is answered without saying what it was."""

    def __init__(self, app: ASGIApp, refused: Callable[[Why], None]) -> None:
        self._app = app
        self._refused = refused
        self._running = 0
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._running >= MOST_REQUESTS:
            self._refused(Why.CROWDED)
            await _failure(503, "Crowded", "too many requests at the same time; try again")(scope, receive, send)
            return
        started = False

        async def begin(message: Message) -> None:
            nonlocal started
            if not started:
                # A client that follows events may do so for ever.
                started = True
                limit.reschedule(None)
                if message.get("status") == TOO_LARGE:
                    self._refused(Why.TOO_LARGE)
            await send(message)

        waits = False

        def wait(seconds: float) -> bool:
            nonlocal waits
            if self._waiting >= MOST_WAITING:
                self._refused(Why.CROWDED)
                return False
            waits = True
            self._running -= 1
            self._waiting += 1
            limit.reschedule(asyncio.get_running_loop().time() + seconds + _SLACK)
            return True

        scope.setdefault("state", {})[_WAIT] = wait
        self._running += 1
        try:
            async with asyncio.timeout(ANSWER_LIMIT) as limit:
                await self._app(scope, receive, begin)
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:
            # Nobody else cancels: the launcher is about to end.
            if started:
                raise
            await _failure(503, "NotRunning", "the tree has just ended")(scope, receive, send)
        except TimeoutError:
            if not started:
                await _failure(504, "RequestTimeout", f"no answer within {ANSWER_LIMIT:g} s")(scope, receive, send)
        except Exception as error:  # noqa: BLE001  (whatever it is, it was one request's)
            log.error(  # noqa: TRY400  (the text of an error may hold what nobody is to read)
                "request_failed", method=scope["method"], error=type(error).__name__, at=_place(error)
            )
            if started:
                scope["state"]["cut_off"]()
            else:
                await _failure(500, "InternalError", "the launcher failed at this request: see its log")(scope, receive, send)
        finally:
            if waits:
                self._waiting -= 1
            else:
                self._running -= 1


def may_wait(request: Request, seconds: float) -> None:
    """From here on a request waits for an agent, for so long. Raises HTTPException when too many do."""
    if not request.scope["state"][_WAIT](seconds):
        raise HTTPException(503, f"{MOST_WAITING} wait for agents already; try again when one has its answer")


class Followers:
    """Everyone who follows something: at most so many, because each keeps its connection."""

    def __init__(self) -> None:
        self.count = 0

    def stream(self, events: AsyncIterator[bytes]) -> Response:
        """A response of server-sent events that goes on for as long as `events` and the client do."""
        return _Stream(self, events)

    def enter(self) -> bool:
        """Whether there is room for one more; then it must leave."""
        if self.count >= MOST_FOLLOWERS:
            return False
        self.count += 1
        return True

    def leave(self) -> None:
        """One client no longer follows."""
        self.count -= 1


class _Stream(EventSourceResponse):
    def __init__(self, followers: Followers, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, ping=_PING_EVERY)
        self._followers = followers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._followers.enter():
            await _failure(503, "Crowded", f"{MOST_FOLLOWERS} follow already; try again when one has ended")(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._followers.leave()


def _failure(status: int, error: str, message: str) -> JSONResponse:
    return JSONResponse({"error": error, "message": message}, status)


def _place(error: BaseException) -> str:
    """Where an error was raised."""
    trace: Any = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
