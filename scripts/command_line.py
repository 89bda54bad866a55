"""The command line: `suptree COMMAND …`."""

import sys
from importlib import import_module
from typing import Any

import click

from .command_errors import Group
from .commands import COMMANDS

# httpx brings a command line of its own, which takes longer to import than all the rest of it. It is optional: httpx does without.
_not_imported: dict[str, Any] = {"httpx._main": None}
sys.modules.update(_not_imported)


class Commands(Group):
    """A group that imports the module of a command when the command is given."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name, None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = vars(import_module(f".commands.{COMMANDS[cmd_name][0]}", __package__))[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write a line for each command, which imports none of them."""
        limit = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl([(name, click.Command(name, help=COMMANDS[name][1]).get_short_help_str(limit)) for name in sorted(COMMANDS)])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="suptree")
def main() -> None:
    """Run fleets of agents under an Erlang-style supervision tree.

    Exit status: 0 done, 1 failed, 2 usage, 3 not running, 4 no such agent.
    """
