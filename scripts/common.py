"""What the commands share: the options, and talking to a running tree."""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from suptree.actors.errors import SuptreeError
from suptree.actors.events.picture import is_alive
from suptree.control.client.client import Client
from suptree.control.client.reach import reach

from .printer import say_if_read

Result = TypeVar("Result")

_SILENT_FOR = 1.0
_ANSWERS_WITHIN = 3.0
# A supervisor pings every two seconds.
_OLD = 5.0

tree_option = click.option("--tree", "-t", "tree_name", metavar="NAME", help="Which tree; without it the only one that runs.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


class Seconds(click.FloatRange):
    """A time that can pass: not negative, and a number."""

    def __init__(self, longest: float | None = None, *, min_open: bool = False) -> None:
        super().__init__(min=0, max=longest, min_open=min_open)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds that a text says."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return seconds


async def with_progress(work: Awaitable[Result], describe: Callable[[], Awaitable[str]]) -> Result:
    """Wait for some work; when it takes longer than a second say on standard error what it waits for, and again when that changes."""
    working = asyncio.ensure_future(work)
    said = ""
    try:
        while not (await asyncio.wait({working}, timeout=_SILENT_FOR))[0]:
            with contextlib.suppress(SuptreeError):
                try:
                    async with asyncio.timeout(_ANSWERS_WITHIN):
                        text = await describe()
                except TimeoutError:
                    text = f"the launcher of the tree has not answered for {_ANSWERS_WITHIN:g} s"
                if text not in ("", said):
                    said = text
                    say_if_read(text, err=True)
        return await working
    finally:
        # What it does when it is cancelled is waited for as well.
        working.cancel()
        await asyncio.wait({working})


def alive_below(rows: list[dict[str, Any]], top: str | None = None) -> list[str]:
    """The agents that may still have a process, below a supervisor (or the agent itself); all of them without one."""
    parents = {row["id"]: row["supervisor"] for row in rows}

    def is_below(row_id: str | None) -> bool:
        return row_id is not None and (row_id == top or is_below(parents.get(row_id)))

    return [row["id"] for row in rows if row["kind"] == "agent" and is_alive(row) and (top is None or is_below(row["id"]))]


def silent_parts(found: dict[str, Any]) -> list[str]:
    """Who does not answer, and for how long: what a status object says of that."""
    silent = [(row["id"], row["last_ping_age"]) for row in found["supervisors"] if (row["last_ping_age"] or 0.0) > _OLD]
    said = [
        f"supervisor {name} has not answered for more than {age // 5 * 5:.0f} s: what is said of its agents is as old"
        for name, age in silent
    ]
    if found["picture_age"] > _SILENT_FOR:
        said.append(f"this is up to {5 + found['picture_age'] // 5 * 5:.0f} s old: the registry does not answer")
    return said


def warnings_of(found: dict[str, Any]) -> list[str]:
    """What a client must know of a status object before it believes it: how old it is, and that the tree file says something else."""
    return silent_parts(found) + ([found["file_differs"]] if found["file_differs"] else [])


def with_client(tree_name: str | None, talk: Callable[[Client], Awaitable[Result]]) -> Result:
    """Find the tree and run a coroutine with a client of it. Raises what the client raises."""

    async def run() -> Result:
        async with reach(tree_name) as client:
            return await talk(client)

    return asyncio.run(run())
