"""`suptree explain`: why something ended, and what would happen if it did."""

from typing import Any

import click

from suptree.actors.exits import ExitClass

from .common import json_option, print_json, tree_option, with_client


@click.group()
def explain() -> None:
    """Say what would happen, before it does."""


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
    click.echo(f"if {agent_id} #{steps[0]['incarnation']} ended now ({exit_class}):")
    for number, step in enumerate(steps):
        _show(step, "" if number == 0 else "  then ")


def _show(step: dict[str, Any], lead: str) -> None:
    left = step["restarts_left"]
    click.echo(f"{lead}{step['supervisor']} decides: {step['decision']} ({step['why']}); restarts left in its window: {left}")
    for number, action in enumerate(step["actions"], 1):
        what = (
            f"wait {action['delay']:.3g} s for {action['id']}" if action["verb"] == "wait" else f"{action['verb']} {action['id']}".strip()
        )
        click.echo(f"  {number}. {what if action['id'] or action['verb'] != 'exit' else step['supervisor'] + ' exits'}")
    if not step["actions"]:
        click.echo("  nothing is started or stopped")
    if step["exit"] is not None:
        click.echo(f"  {step['supervisor']} ends: {step['exit']['class']}, {step['exit']['reason']}")
