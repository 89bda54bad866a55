"""`suptree explain`: why something ended, and what would happen if it did."""

from typing import Any

import click

from suptree.actors.deaths.explanation import deaths_of, explanation_after_the_run, screen
from suptree.actors.errors import NotRunning
from suptree.actors.exits import ExitClass
from suptree.control.trees.last_run import how_it_ended

from ..common import json_option, tree_option, with_client
from ..screen import print_json, say
from .after_the_run import kept_by_one


@click.command()
@click.argument("words", metavar="ID | crash ID [REASON]", nargs=-1, required=True)
@tree_option
@json_option
def explain(words: tuple[str, ...], tree_name: str | None, *, as_json: bool) -> None:
    """Say why ID died, what was decided, and what can be done; or what would happen if it crashed.

    Of a tree that has ended, its deaths can still be explained. `crash ID` is a dry run: what the supervisors would do if ID ended now,
    on copies of their own cores. REASON is an exit class: crash (the default), failed, normal, hung, quota, permanent, …
    An agent may be named crash too: one word is always an ID.
    """
    match words:
        case (agent_id,):
            _death(agent_id, tree_name, as_json=as_json)
        case ("crash", agent_id) | ("crash", agent_id, _):
            _crash(agent_id, _exit_class(*words[2:]), tree_name, as_json=as_json)
        case _:
            raise click.UsageError(f"it takes ID, or crash ID [REASON], and not {' '.join(words)!r}.")


def _exit_class(reason: str = ExitClass.CRASH.value) -> str:
    if reason not in set(ExitClass):
        raise click.UsageError(f"REASON is an exit class ({', '.join(ExitClass)}), and {reason!r} is none.")
    return reason


def _death(agent_id: str, tree_name: str | None, *, as_json: bool) -> None:
    ended = None
    try:
        explained = with_client(tree_name, lambda client: client.explanation(agent_id))
    except NotRunning:
        found = kept_by_one(tree_name, agent_id, "deaths", lambda paths: deaths_of(paths.state, agent_id))
        if found is None:
            raise
        explained = explanation_after_the_run(found[0].name, agent_id, found[1])
        ended = how_it_ended(found[0])
    if as_json:
        print_json(explained)
    else:
        say("\n".join([*screen(explained), *filter(None, [ended])]))


def _crash(agent_id: str, exit_class: str, tree_name: str | None, *, as_json: bool) -> None:
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
