"""The lines of the link between the launcher and the registry: each is one JSON object, and none is longer than it must be."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

import structlog

log = structlog.get_logger()

LINE_LIMIT = 64 * 1024 * 1024
"""In bytes. A longer line is passed over: it may not end who listens."""
_PART = 1024 * 1024


async def lines_of(reader: asyncio.StreamReader) -> AsyncIterator[Any]:
    """The value of each line, until the other end closes the connection, in the middle of a line perhaps. Raises ConnectionError."""
    too_long = 0
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as overrun:
            too_long += len(await reader.readexactly(max(overrun.consumed, 1)))
        except asyncio.IncompleteReadError:
            # What a process was about to say when it was killed ends without its newline.
            return
        else:
            if too_long:
                log.error("line_passed_over", bytes=too_long + len(line), limit=LINE_LIMIT)
                too_long = 0
            else:
                yield json.loads(line)


def line_of(said: Mapping[str, Any]) -> bytes:
    """The line that says this."""
    return json.dumps(said).encode() + b"\n"


def in_parts(items: Iterable[Any]) -> Iterator[list[Any]]:
    """The items, as many together as may stand in one line."""
    part: list[Any] = []
    size = 0
    for item in items:
        length = len(json.dumps(item))
        if part and size + length > _PART:
            yield part
            part, size = [], 0
        part.append(item)
        size += length
    if part:
        yield part
