"""The command line: `suptree COMMAND …`."""

import click

from .command_errors import Group
from .commands import agent_commands, demo, doctor, explain, key_command, token_command, tree_commands, view_commands


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="suptree")
def main() -> None:
    """Run fleets of agents under an Erlang-style supervision tree.

    Exit status: 0 done, 1 failed, 2 usage, 3 not running, 4 no such agent.
    """


for command in (
    demo.demo,
    tree_commands.init,
    tree_commands.check,
    tree_commands.up,
    tree_commands.down,
    view_commands.status,
    view_commands.tree,
    view_commands.events,
    explain.explain,
    doctor.doctor,
    token_command.token,
    key_command.key,
    agent_commands.start,
    agent_commands.stop,
    agent_commands.restart,
    agent_commands.kill,
    agent_commands.tell,
    agent_commands.ask,
    agent_commands.logs,
):
    main.add_command(command)
