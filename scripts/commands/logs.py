"""What an agent printed: of a tree that runs, and of one that has ended."""

import contextlib

import click

from suptree.actors.errors import NotRunning
from suptree.actors.output.log_reader import tail
from suptree.actors.output.output_log import log_path
from suptree.control.client.client import Client
from suptree.control.client.reach import remote_url
from suptree.supervisors.spec.ids import fault_of_id

from ..common import tree_option, with_client
from ..screen import say_output
from .after_the_run import kept_by_one


@click.command()
@click.argument("agent_id", metavar="ID")
@tree_option
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written next.")
@click.option("--lines", "-n", type=click.IntRange(0, 1_000_000), default=100, show_default=True, help="How many lines to begin with.")
@click.option("--previous", "-p", is_flag=True, help="Of the incarnation before the present, or last, one.")
@click.option("--raw", is_flag=True, help="Print every byte as the agent did, also what moves the cursor or changes the terminal.")
def logs(agent_id: str, tree_name: str | None, lines: int, *, follow: bool, previous: bool, raw: bool) -> None:
    """What an agent printed: time, incarnation, stream, text; also of a tree that has ended.

    Colours are shown; everything else that would do something to the terminal is escaped.
    """
    if follow and previous:
        raise click.UsageError("the previous incarnation no longer writes: give one of --follow and --previous")

    async def talk(client: Client) -> None:
        await client.agent(agent_id)
        if follow:
            async with contextlib.aclosing(client.follow_log(agent_id, lines)) as stream:
                async for text in stream:
                    say_output(text, raw=raw)
        else:
            for text in await client.log_lines(agent_id, lines, previous=previous):
                say_output(text, raw=raw)

    try:
        with contextlib.suppress(KeyboardInterrupt):
            with_client(tree_name, talk)
    except NotRunning:
        if follow or previous or fault_of_id(agent_id) or remote_url(tree_name) is not None:
            raise
        found = kept_by_one(tree_name, agent_id, "output", lambda paths: tail(log_path(str(paths.state), agent_id), lines))
        if found is None:
            raise
        for text in found[1]:
            say_output(text, raw=raw)
