"""Where every agent stands. It is asked most often of all commands, so it imports what draws tables only when it draws one."""

import click

from suptree.actors.errors import NoSuchAgent

from ..common import journal_trouble, json_option, tree_option, warnings_of, with_client
from ..screen import print_json, say


@click.command()
@click.argument("agent_id", metavar="[ID]", required=False)
@tree_option
@json_option
def status(agent_id: str | None, tree_name: str | None, *, as_json: bool) -> None:
    """Where every agent stands, or one."""
    found = with_client(tree_name, lambda client: client.status())
    if agent_id is not None:
        rows = [row for row in (*found["agents"], *found["supervisors"]) if row["id"] == agent_id]
        if not rows:
            raise NoSuchAgent(f"no agent {agent_id!r} in tree {found['tree']!r}: see `suptree status`")
        if as_json:
            print_json(rows[0])
        else:
            from .status_table import show_details  # noqa: PLC0415

            show_details(rows[0])
    elif as_json:
        print_json(found)
    else:
        from .status_table import show_status  # noqa: PLC0415

        show_status(found)
        for warning in warnings_of(found):
            say(warning)
        if trouble := journal_trouble(found["journal"]):
            say(trouble)
