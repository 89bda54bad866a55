"""Telling agents something and asking them, as the control API does it."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

from sse_starlette import EventSourceResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from suptree.actors.errors import InputRefused, RequestTimeout
from suptree.actors.program_input import INPUT_LIMIT
from suptree.actors.questions import failure

from .link import Link
from .time_limits import ASK_LIMIT, LONGEST, TELL_LIMIT

_LOST = {"answer": "failed", "value": failure("a part of the reply was lost on the way: ask again")}


async def tell(link: Link, agent_id: str, request: Request) -> Response:
    """Hand an agent the `text` of a request; answered when it has been taken."""
    body = await _body(request, {"text": str}, {"timeout": float})
    limit = body.get("timeout", TELL_LIMIT)
    answer = await _within(limit, link, "tell", agent_id, {"text": _bounded(body["text"], agent_id, "told")})
    return JSONResponse({key: answer[key] for key in ("answer", "value", "seq")})


async def ask(link: Link, agent_id: str, request: Request) -> Response:
    """Ask an agent the `prompt` of a request: its reply, or with `stream` server-sent events, of which the last is the answer.

    Whoever goes away before has the question taken back.
    """
    body = await _body(request, {"prompt": str}, {"timeout": float, "stream": bool})
    limit, stream = body.get("timeout", ASK_LIMIT), body.get("stream", False)
    arguments = {"text": _bounded(body["prompt"], agent_id, "asked"), "stream": stream}
    if stream:
        return EventSourceResponse(_parts(link, agent_id, arguments, limit), ping=15)
    asking = asyncio.create_task(_within(limit, link, "ask", agent_id, arguments))
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait([asking, gone], return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            raise HTTPException(499, "the client has closed the connection")
        answer = asking.result()
    finally:
        asking.cancel()
        gone.cancel()
    return JSONResponse({key: answer[key] for key in ("answer", "value", "seq")})


async def _parts(link: Link, agent_id: str, arguments: dict[str, Any], limit: float) -> AsyncIterator[dict[str, str]]:
    """Each part of a reply as it comes, then what came of it."""
    parts: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    asking = asyncio.create_task(_within(limit, link, "ask", agent_id, arguments, hear=parts.put_nowait))
    asking.add_done_callback(lambda _asking: parts.put_nowait(None))
    count = 0
    try:
        while (part := await parts.get()) is not None:
            if part["number"] != count + 1:
                # A registry that died took it along.
                yield {"data": json.dumps(_LOST)}
                return
            count += 1
            yield {"data": json.dumps({"part": part["part"]})}
        try:
            answer = {key: asking.result()[key] for key in ("answer", "value", "seq")}
        except RequestTimeout as late:
            answer = {"error": type(late).__name__, "message": str(late)}
        yield {"data": json.dumps(_LOST if answer.get("answer") == "ok" and answer["value"] != count else answer)}
    finally:
        asking.cancel()


async def _within(
    limit: float, link: Link, operation: str, agent_id: str, arguments: dict[str, Any], *, hear: Any = None
) -> dict[str, Any]:
    try:
        return await link.ask(operation, agent_id, arguments, limit=limit, hear=hear)
    except RequestTimeout:
        what = "answer" if operation == "ask" else "take what it was told"
        raise RequestTimeout(f"{agent_id!r} did not {what} within {limit:g} s") from None


async def _gone(request: Request) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _bounded(text: str, agent_id: str, what: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise HTTPException(400, f"only text that UTF-8 can encode can be {what}") from None
    if size >= INPUT_LIMIT:
        raise InputRefused(f"{agent_id!r} was not {what}: what is {what} must be shorter than {INPUT_LIMIT} bytes, not {size}")
    return text


async def _body(request: Request, needed: dict[str, type], optional: dict[str, type]) -> dict[str, Any]:
    """The JSON object of a request; every fault of it is told at once."""
    body = await request.json()
    if not isinstance(body, dict):
        raise HTTPException(400, f"must be a JSON object with {', '.join([*needed, *optional])}")
    faults = [f"{key}: is missing" for key in needed if key not in body]
    faults += [f"{key}: unknown key (there are {', '.join([*needed, *optional])})" for key in body if key not in {**needed, **optional}]
    for key, kind in {**needed, **optional}.items():
        if key in body and (fault := _fault(body[key], kind)):
            faults.append(f"{key}: {fault}")
    if faults:
        raise HTTPException(400, "; ".join(faults))
    return body


def _fault(value: Any, kind: type) -> str | None:
    if kind is float:
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 < value <= LONGEST
        return None if good else f"must be a number of seconds above 0, and at most {LONGEST:g}"
    return None if isinstance(value, kind) else f"must be {'a text' if kind is str else 'true or false'}"
