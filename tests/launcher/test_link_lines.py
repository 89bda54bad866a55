"""The lines between the launcher and the registry: none ends who listens, however long it is."""

import asyncio
import json
from typing import Any

import pytest

from suptree.actors.record.link_lines import LINE_LIMIT, in_parts, line_of, lines_of
from suptree.actors.record.link_offers import LinkOffers
from suptree.control.launcher.link import Link

LIMIT = 1000


async def heard(data: bytes, chunk: int) -> list[Any]:
    reader = asyncio.StreamReader(limit=LIMIT)

    async def feed() -> None:
        for start in range(0, len(data), chunk):
            reader.feed_data(data[start : start + chunk])
            await asyncio.sleep(0)
        reader.feed_eof()

    feeding = asyncio.create_task(feed())
    found = [line async for line in lines_of(reader)]
    await feeding
    return found


@pytest.mark.parametrize("chunk", [1, 7, 999, 1000, 1001, 100_000])
@pytest.mark.parametrize("length", [LIMIT, LIMIT + 2, 3 * LIMIT, 50 * LIMIT])
def test_a_line_that_is_too_long_is_passed_over_and_the_next_are_heard(length: int, chunk: int) -> None:
    long = {"x": "x" * (length - len(line_of({"x": ""})))}
    expected = [{"a": 1}, *([long] if length == LIMIT else []), {"b": 2}, {"c": 3}]
    assert expected == asyncio.run(heard(b"".join(line_of(said) for said in ({"a": 1}, long, {"b": 2}, {"c": 3})) + b'{"torn', chunk))


def test_what_is_passed_over_up_to_the_end_is_no_line() -> None:
    assert [{"a": 1}] == asyncio.run(heard(line_of({"a": 1}) + b"x" * 10_000, 100))


@pytest.mark.parametrize("sizes", [[], [10], [10] * 1000, [2_000_000], [10, 2_000_000, 10], [600_000] * 5])
def test_no_line_holds_more_than_it_must(sizes: list[int]) -> None:
    items = [{"number": number, "text": "x" * size} for number, size in enumerate(sizes)]
    parts = list(in_parts(items))
    assert items == [item for part in parts for item in part]
    assert all(len(part) == 1 or len(json.dumps(part)) < 1_100_000 for part in parts)
    assert all(parts)


def row(child: str) -> dict[str, Any]:
    return {"id": child, "kind": "agent", "incarnation": 1, "restarts": 0}


def test_the_launcher_hears_on_after_a_line_that_is_too_long_and_a_hello_may_come_in_parts() -> None:
    async def listen() -> tuple[set[str], int]:
        offers, link = LinkOffers(), Link()
        serving = asyncio.create_task(link.serve(offers))
        journal = {"path": None, "lost": 0, "waiting": 0, "why": None}
        for ids, seq in ((("gone",), 3), (("a", "b"), 7)):
            reader, writer = await asyncio.open_unix_connection(sock=offers.connect())
            await reader.readline()
            for child in ids:
                writer.write(line_of({"before_hello": {"rows": [row(child)]}}))
            writer.write(line_of({"hello": {"seq": seq, "before_run": 0, "journal": journal}}))
            writer.write(b"x" * (LINE_LIMIT + 1000) + b"\n")
            writer.write(line_of({"rows": [row(f"after-{seq}")]}))
            while f"after-{seq}" not in link.picture.rows:
                assert not serving.done()
                async with asyncio.timeout(60), link._changed:
                    await link._changed.wait()
            writer.close()
        serving.cancel()
        return set(link.picture.rows), link.seq

    assert ({"a", "b", "after-7"}, 7) == asyncio.run(listen())
