"""What the commands share: the options, and talking to a running tree."""

import asyncio
import contextlib
import math
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import click

from suptree.actors.errors import NotRunning, SuptreeError
from suptree.control.client.client import Client
from suptree.control.client.reach import reach, remote_url
from suptree.control.trees.find import TREE_VARIABLE, find_tree
from suptree.control.trees.last_run import how_it_ended
from suptree.control.trees.paths import known_trees
from suptree.supervisors.spec.ids import ROOT

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
                    continue
                if text not in ("", said):
                    said = text
                    say_if_read(text, err=True)
        return await working
    finally:
        # What it does when it is cancelled is waited for as well.
        working.cancel()
        await asyncio.wait({working})


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


def journal_trouble(state: Mapping[str, Any]) -> str | None:
    """What is wrong with a journal, from its part of the status object; None while it is complete and can be written."""
    lost = f"{state['lost']} events are missing from it"
    if state["why"] is not None:
        return f"the journal {state['path']} cannot be written: {state['why']}; {state['waiting']} events wait, {lost}"
    return f"the journal {state['path']} can be written again; {lost}" if state["lost"] else None


def with_client(tree_name: str | None, talk: Callable[[Client], Awaitable[Result]]) -> Result:
    """Find the tree and run a coroutine with a client of it. Raises what the client raises; NotRunning says how trees ended."""

    async def run() -> Result:
        async with reach(tree_name) as client:
            silence = asyncio.create_task(_say_if_silent(client, tree_name))
            try:
                return await talk(client)
            finally:
                silence.cancel()
                await asyncio.wait({silence})

    try:
        return asyncio.run(run())
    except NotRunning as error:
        raise NotRunning("\n".join([str(error), *_endings(tree_name)])) from None


def _endings(tree_name: str | None) -> list[str]:
    """How each tree that may be meant ended, where that was not in order."""
    if remote_url(tree_name) is not None:
        return []
    name = tree_name or os.environ.get(TREE_VARIABLE)
    trees = [paths for paths in known_trees() if name in (None, paths.name)]
    return [ended for ended in map(how_it_ended, trees) if ended is not None]


async def _say_if_silent(client: Client, tree_name: str | None) -> None:
    """Say on standard error, once and after two seconds, that the launcher answers nothing at all: what is asked may take its time."""
    await asyncio.sleep(_SILENT_FOR)
    try:
        async with asyncio.timeout(_SILENT_FOR):
            with contextlib.suppress(SuptreeError):
                await client.agent(ROOT)
    except TimeoutError:
        say_if_read(f"{await asyncio.to_thread(_launcher, tree_name)}; this command still waits", err=True)


def _launcher(tree_name: str | None) -> str:
    """That a launcher does not answer, which one, and what the kernel knows of it."""
    import psutil  # noqa: PLC0415  (only where a launcher is silent)

    silent = f"has not answered for {2 * _SILENT_FOR:g} s"
    if remote_url(tree_name) is not None:
        return f"the launcher of the tree {silent}"
    pid = find_tree(tree_name).pid
    with contextlib.suppress(psutil.Error):
        if psutil.Process(pid).status() == psutil.STATUS_STOPPED:
            return f"the launcher of the tree (pid {pid}) {silent}: it is stopped, and goes on after `kill -CONT {pid}`"
    return f"the launcher of the tree (pid {pid}) {silent}"
