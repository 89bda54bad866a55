"""How the control API answers."""

import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from suptree.actors.kernel.turns import Turns

_PART = 256 * 1024


class JsonAnswer(JSONResponse):
    """JSON in ASCII: a name of a file that is no UTF-8 has half surrogate pairs, which UTF-8 cannot encode and JSON's escapes can."""

    def render(self, content: Any) -> bytes:
        """The body of the response."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def json_lines(lines: list[str]) -> Response:
    """A JSON array of the lines of a log. It leaves in parts: 32 MiB of bytes that are no UTF-8 would hold the others up for a second."""
    return StreamingResponse(_in_parts(lines), media_type=JsonAnswer.media_type)


async def _in_parts(lines: list[str]) -> AsyncIterator[bytes]:
    turns = Turns()
    part, size = [b"["], 1
    for number, line in enumerate(lines):
        part.append((b"," if number else b"") + json.dumps(line).encode("ascii"))
        size += len(part[-1])
        if size > _PART:
            yield b"".join(part)
            part, size = [], 0
        await turns.rest()
    yield b"".join((*part, b"]"))


def server_sent(content: Any) -> bytes:
    """One server-sent event with JSON in it, as bytes: a line of a log may have 16 MiB, and as a text would be looked through for lines."""
    return b"".join((b"data: ", json.dumps(content).encode("ascii"), b"\r\n\r\n"))
