"""`suptree explain`: why something ended, and what would happen if it did."""

from typing import Any

import click

from suptree.actors.deaths.explanation import deaths_of, explanation_after_the_run, screen
from suptree.actors.errors import NotRunning
from suptree.actors.exits import ExitClass

from ..common import json_option, tree_option, with_client
from ..screen import print_json, say
from .after_the_run import kept_by_one


class _IdGroup(click.Group):
    """A group whose unknown subcommand is an ID."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read `ID …` as `death ID …`."""
        if args and args[0] not in (*self.commands, *self.get_help_option_names(ctx)):
            args = ["death", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_IdGroup, subcommand_metavar="ID | crash ID [REASON]")
def explain() -> None:
    """Say why ID died, what was decided, and what can be done; or what would happen if it crashed.

    Both take --tree NAME and --json. Of a tree that has ended, its deaths can still be explained.
    """


@explain.command(hidden=True)
@click.argument("agent_id", metavar="ID")
@tree_option
@json_option
def death(agent_id: str, tree_name: str | None, *, as_json: bool) -> None:
    """Why ID died: the last death in full, earlier ones in a line each, and how it stands now."""
    try:
        explained = with_client(tree_name, lambda client: client.explanation(agent_id))
    except NotRunning:
        found = kept_by_one(tree_name, agent_id, "deaths", lambda paths: deaths_of(paths.state, agent_id))
        if found is None:
            raise
        explained = explanation_after_the_run(found[0].name, agent_id, found[1])
    if as_json:
        print_json(explained)
    else:
        say("\n".join(screen(explained)))


@explain.command()
@click.argument("agent_id", metavar="ID")
@click.argument("exit_class", metavar="[REASON]", type=click.Choice([each.value for each in ExitClass]), default=ExitClass.CRASH.value)
@tree_option
@json_option
def crash(agent_id: str, exit_class: str, tree_name: str | None, *, as_json: bool) -> None:
    """What the supervisors would do if ID ended now: a dry run on copies of their own cores.

    REASON is an exit class: crash (the default), failed, normal, hung, quota, permanent, …
    """
    steps = with_client(tree_name, lambda client: client.forecast(agent_id, exit_class))
    if as_json:
        print_json(steps)
        return
    say(f"if {agent_id} #{steps[0]['incarnation']} ended now ({exit_class}):")
    for number, step in enumerate(steps):
        _show(step, "" if number == 0 else "  then ")


def _show(step: dict[str, Any], lead: str) -> None:
    left = step["restarts_left"]
    say(f"{lead}{step['supervisor']} decides: {step['decision']} ({step['why']}); restarts left in its window: {left}")
    for number, action in enumerate(step["actions"], 1):
        what = (
            f"wait {action['delay']:.3g} s for {action['id']}" if action["verb"] == "wait" else f"{action['verb']} {action['id']}".strip()
        )
        say(f"  {number}. {what if action['id'] or action['verb'] != 'exit' else step['supervisor'] + ' exits'}")
    if not step["actions"]:
        say("  nothing is started or stopped")
    if step["exit"] is not None:
        say(f"  {step['supervisor']} ends: {step['exit']['class']}, {step['exit']['reason']}")
