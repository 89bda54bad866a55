"""Commands about one agent (or one supervisor with all below): start, stop, restart, kill, tell, ask."""

import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import click

from suptree.actors.output.printable import printable_output
from suptree.control.client.client import Client
from suptree.control.time_limits import ASK_LIMIT, LONGEST, TELL_LIMIT

from ..common import Seconds, json_option, silent_parts, tree_option, warnings_of, with_client, with_progress
from ..screen import print_json, say, write


def _act(tree_name: str | None, agent_id: str, act: Callable[[Client], Awaitable[int]], *, as_json: bool) -> None:
    async def talk(client: Client) -> dict[str, object]:
        async def describe() -> str:
            agent = await client.agent(agent_id)
            waits = f"{agent_id} is {agent['status']}" + (f": {agent['detail']}" if agent["detail"] else "")
            silent = silent_parts(await client.status())
            return "; ".join([waits, *silent])

        await with_progress(act(client), describe)
        for warning in warnings_of(await client.status()):
            say(warning, err=True)
        return await client.agent(agent_id)

    agent = with_client(tree_name, talk)
    if as_json:
        print_json(agent)
    else:
        pid = f", pid {agent['pid']}" if agent["pid"] else ""
        say(f"{agent_id}: {agent['status']} (incarnation {agent['incarnation']}{pid})")


def _timeout_option(what: str, default: float) -> Callable[..., Any]:
    kind = Seconds(LONGEST, min_open=True)
    return click.option("--timeout", metavar="S", type=kind, default=default, show_default=True, help=f"How many seconds it has to {what}.")


_fresh_option = click.option("--fresh", is_flag=True, help="Delete its last checkpoint first.")


@click.command()
@click.argument("agent_id", metavar="ID")
@_fresh_option
@tree_option
@json_option
def start(agent_id: str, tree_name: str | None, *, fresh: bool, as_json: bool) -> None:
    """Start what is stopped, crashed or held; returns when it runs."""
    _act(tree_name, agent_id, lambda client: client.start(agent_id, fresh=fresh), as_json=as_json)


@click.command()
@click.argument("agent_id", metavar="ID")
@tree_option
@json_option
def stop(agent_id: str, tree_name: str | None, *, as_json: bool) -> None:
    """Stop it by its stop ladder, and keep it stopped; returns when it is down. A second stop skips a rung."""
    _act(tree_name, agent_id, lambda client: client.stop(agent_id), as_json=as_json)


@click.command()
@click.argument("agent_id", metavar="ID")
@_fresh_option
@tree_option
@json_option
def restart(agent_id: str, tree_name: str | None, *, fresh: bool, as_json: bool) -> None:
    """Stop it if it runs, and start it; returns when it runs."""
    _act(tree_name, agent_id, lambda client: client.restart(agent_id, fresh=fresh), as_json=as_json)


@click.command()
@click.argument("agent_id", metavar="ID")
@tree_option
@json_option
def kill(agent_id: str, tree_name: str | None, *, as_json: bool) -> None:
    """Stop it with SIGKILL, without grace, and keep it stopped."""
    _act(tree_name, agent_id, lambda client: client.stop(agent_id, graceful=False), as_json=as_json)


@click.command()
@click.argument("agent_id", metavar="ID")
@click.argument("line", required=False)
@click.option("--eof", is_flag=True, help="End its input, after LINE if there is one.")
@_timeout_option("take it", TELL_LIMIT)
@tree_option
def tell(agent_id: str, line: str | None, timeout: float, tree_name: str | None, *, eof: bool) -> None:
    """Write a line to its stdin, where that is a pipe or a terminal; a native agent's handle() gets it."""
    if line is None and not eof:
        raise click.UsageError("what is it to hear? Give LINE, --eof, or both.")
    with_client(tree_name, lambda client: client.tell(agent_id, line, eof=eof, timeout=timeout))


@click.command()
@click.argument("agent_id", metavar="ID")
@click.argument("prompt")
@_timeout_option("answer", ASK_LIMIT)
@tree_option
@json_option
def ask(agent_id: str, prompt: str, timeout: float, tree_name: str | None, *, as_json: bool) -> None:
    """Ask a native agent something, and print its reply as it comes."""
    with_client(tree_name, lambda client: _print_reply(client, agent_id, prompt, timeout, as_json=as_json))


async def _print_reply(client: Client, agent_id: str, prompt: str, limit: float, *, as_json: bool) -> None:
    if as_json:
        print_json({"id": agent_id, "reply": await client.ask(agent_id, prompt, timeout=limit)})
        return
    last = "\n"
    try:
        async with contextlib.aclosing(client.ask_stream(agent_id, prompt, timeout=limit)) as parts:
            async for part in parts:
                last = part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)
                write("\n".join(map(printable_output, last.split("\n"))), end="")
    finally:
        # An error begins on a line of its own too.
        if not last.endswith("\n"):
            write("")
