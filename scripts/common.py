"""What the commands share: the options, and talking to a running tree."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from suptree.control.client.client import Client
from suptree.control.client.reach import reach

Result = TypeVar("Result")

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


def with_client(tree_name: str | None, talk: Callable[[Client], Awaitable[Result]]) -> Result:
    """Find the tree and run a coroutine with a client of it. Raises what the client raises."""

    async def run() -> Result:
        async with reach(tree_name) as client:
            return await talk(client)

    return asyncio.run(run())
