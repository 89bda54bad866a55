"""How errors end a command: one line on stderr, and an exit status that says what kind it was."""

import contextlib
import errno
import os
import sys
from typing import Any

import click

from suptree.actors.errors import ConfigError, MissingOnMachine, NoSuchAgent, NotRunning, SuptreeError

from .interrupts import interrupted
from .screen import say

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_RUNNING, EXIT_NO_SUCH_AGENT = 1, 2, 3, 4

_STATUS: tuple[tuple[type[SuptreeError], int], ...] = (
    (MissingOnMachine, EXIT_FAILED),
    (ConfigError, EXIT_USAGE),
    (NotRunning, EXIT_NOT_RUNNING),
    (NoSuchAgent, EXIT_NO_SUCH_AGENT),
    (SuptreeError, EXIT_FAILED),
)


class Group(click.Group):
    """A click group whose commands may raise the library's errors."""

    def make_context(self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any) -> click.Context:
        """Read the command line; Ctrl-C ends that as it ends what follows."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except KeyboardInterrupt:
            sys.exit(interrupted())

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn an error of ours into its line and its exit status."""
        try:
            return super().invoke(ctx)
        except SuptreeError as error:
            say(f"suptree: {error}" if not isinstance(error, ConfigError) else str(error), err=True)
            ctx.exit(next(status for kind, status in _STATUS if isinstance(error, kind)))
        except KeyboardInterrupt:
            ctx.exit(interrupted())
        except OSError as error:
            _discard_output()
            if error.errno != errno.EPIPE:
                say(f"suptree: {error}", err=True)
            ctx.exit(EXIT_FAILED)


def _discard_output() -> None:
    """What could not be written would be tried again at the end of Python, which would complain."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
