"""A long log leaves the launcher in parts, so that all others on its loop have their turn."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import cast

import pytest
from starlette.responses import StreamingResponse

from suptree.actors.output.output_log import log_path
from suptree.control.api.json_answer import json_lines
from suptree.testing import LiveTree

from .turns_of_others import turns_of_others

TREE = '[agents.a]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000000"]\n'
ODD = b"\xff" * 100


async def whole(lines: list[str]) -> bytes:
    return b"".join([cast(bytes, part) async for part in cast(StreamingResponse, json_lines(lines)).body_iterator])


async def body_and_turns(lines: list[str]) -> tuple[bytes, int]:
    """The body of an answer, and how many turns somebody else had until it was whole."""
    parts = cast(AsyncIterator[bytes], cast(StreamingResponse, json_lines(lines)).body_iterator)
    found = [await anext(parts)]
    with turns_of_others() as turns:
        found += [part async for part in parts]
    return b"".join(found), turns.count


def test_others_have_their_turn_while_a_long_log_is_answered_with() -> None:
    lines = [ODD.decode("utf-8", "replace")] * 200_000
    body, turns = asyncio.run(body_and_turns(lines))
    assert (lines, True) == (json.loads(body), turns > 5), turns


@pytest.mark.parametrize("lines", [[], [""], ["a", "\ud800", '"', "x" * 1_000_000, "b"]], ids=["none", "an empty one", "odd ones"])
def test_the_answer_is_the_array_of_its_lines(lines: list[str]) -> None:
    assert lines == json.loads(asyncio.run(whole(lines)))


def test_a_client_gets_a_long_log_whole() -> None:
    with LiveTree(TREE) as live:
        live.wait_until_all_run()
        path = log_path(str(live.launcher.paths.state), "a")
        path.write_bytes((ODD + b"\n") * 50_000)
        assert [ODD.decode("utf-8", "replace")] * 50_000 == live.ask(lambda client: client.log_lines("a", 1_000_000))
        assert [] == live.ask(lambda client: client.log_lines("a", 0))
