"""Telling agents something and asking them, as the control API does it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from sse_starlette import EventSourceResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from suptree.actors.errors import InputRefused, RequestTimeout
from suptree.actors.native.questions import failure
from suptree.actors.program.program_input import INPUT_LIMIT

from ..door.bounds import may_wait
from ..door.request_input import Bodies, Seconds, expect
from ..time_limits import ASK_LIMIT, TELL_LIMIT
from .json_answer import JsonAnswer, server_sent
from .running_tree import RegistryLink

# A character that JSON escapes takes six bytes.
_BODY_LIMIT = 6 * INPUT_LIMIT + 1024
_TEXT_WANTED = 'what an agent is to hear is a text: {"text": "…"}, the end of its input: {"eof": true}, or both'
_ASKED = 'what is asked is a text: {"prompt": "…"}'
_LOST = {"answer": "failed", "value": failure("a part of the reply was lost on the way: ask again")}


class Conversation:
    """What is said to agents, and what they answer."""

    def __init__(self, link: RegistryLink, bodies: Bodies) -> None:
        self._link = link
        self._bodies = bodies

    async def tell(self, agent_id: str, request: Request) -> Response:
        """Hand an agent the `text` of a request, or with `eof` the end of its input after that; answered when it has been taken."""
        said = expect(await self._bodies.read(request, _BODY_LIMIT), _TEXT_WANTED, (), text=str, eof=bool, timeout=Seconds)
        eof, limit = said.get("eof", False), said.get("timeout", TELL_LIMIT)
        if "text" not in said and not eof:
            raise HTTPException(400, _TEXT_WANTED)
        text = _bounded(said["text"], f"{agent_id!r} took no input") if "text" in said else None
        may_wait(request, limit)
        answer = await self._within(limit, "tell", agent_id, {"text": text, "eof": eof})
        return JsonAnswer({key: answer[key] for key in ("answer", "value", "seq")})

    async def ask(self, agent_id: str, request: Request) -> Response:
        """Ask an agent the `prompt` of a request: its reply, or with `stream` server-sent events, of which the last is the answer.

        When the client goes away before that, the question is taken back.
        """
        said = expect(await self._bodies.read(request, _BODY_LIMIT), _ASKED, ("prompt",), prompt=str, timeout=Seconds, stream=bool)
        text = _bounded(said["prompt"], f"{agent_id!r} was not asked")
        limit, stream = said.get("timeout", ASK_LIMIT), said.get("stream", False)
        arguments = {"text": text, "stream": stream}
        may_wait(request, limit)
        if stream:
            return EventSourceResponse(self._parts(agent_id, arguments, limit), ping=15)
        asking = asyncio.create_task(self._within(limit, "ask", agent_id, arguments))
        gone = asyncio.create_task(_gone(request))
        try:
            await asyncio.wait([asking, gone], return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise HTTPException(499, "the client has closed the connection")
            answer = asking.result()
        finally:
            asking.cancel()
            gone.cancel()
        return JsonAnswer({key: answer[key] for key in ("answer", "value", "seq")})

    async def attach(self, agent_id: str, request: Request) -> Response:
        """Answer with the `socket` that was made, and the `incarnation` that it leads to."""
        expect(await self._bodies.read(request), "attach takes nothing")
        answer = await self._link.ask("attach", agent_id, {}, limit=TELL_LIMIT)
        return JsonAnswer({key: answer[key] for key in ("answer", "value", "seq")})

    async def _parts(self, agent_id: str, arguments: dict[str, Any], limit: float) -> AsyncIterator[bytes]:
        """Each part of a reply as it comes, then the answer."""
        parts: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        asking = asyncio.create_task(self._within(limit, "ask", agent_id, arguments, hear=parts.put_nowait))
        asking.add_done_callback(lambda _asking: parts.put_nowait(None))
        count = 0
        try:
            while (part := await parts.get()) is not None:
                if part["number"] != count + 1:
                    # A registry that died took it along.
                    yield server_sent(_LOST)
                    return
                count += 1
                yield server_sent({"part": part["part"]})
            try:
                answer = {key: asking.result()[key] for key in ("answer", "value", "seq")}
            except RequestTimeout as late:
                answer = {"error": type(late).__name__, "message": str(late)}
            yield server_sent(_LOST if answer.get("answer") == "ok" and answer["value"] != count else answer)
        finally:
            asking.cancel()

    async def _within(self, limit: float, operation: str, agent_id: str, arguments: dict[str, Any], *, hear: Any = None) -> dict[str, Any]:
        try:
            return await self._link.ask(operation, agent_id, arguments, limit=limit, hear=hear)
        except RequestTimeout:
            what = "answer" if operation == "ask" else "take the text"
            raise RequestTimeout(f"{agent_id!r} did not {what} within {limit:g} s") from None


async def _gone(request: Request) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _bounded(text: str, refusal: str) -> str:
    size = len(text.encode())
    if size >= INPUT_LIMIT:
        raise InputRefused(f"{refusal}: a text must be shorter than {INPUT_LIMIT} bytes, not {size}")
    return text
