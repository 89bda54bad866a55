"""How errors end a command: one line on stderr, and an exit status that says what kind it was."""

import contextlib
import errno
import os
import sys
from typing import Any

import click

from suptree.actors.errors import ConfigError, MissingOnMachine, NoSuchAgent, NotRunning, SuptreeError

from .interrupts import interrupted
from .printer import say_if_read

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_RUNNING, EXIT_NO_SUCH_AGENT = 1, 2, 3, 4

_STATUS: tuple[tuple[type[SuptreeError], int], ...] = (
    (MissingOnMachine, EXIT_FAILED),
    (ConfigError, EXIT_USAGE),
    (NotRunning, EXIT_NOT_RUNNING),
    (NoSuchAgent, EXIT_NO_SUCH_AGENT),
    (SuptreeError, EXIT_FAILED),
)


_NO_FOLDER = "the folder in which the command was given does not exist any more: change to another one (cd), or give an absolute path"


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
            say_if_read(f"suptree: {error}" if not isinstance(error, ConfigError) else str(error), err=True)
            ctx.exit(next(status for kind, status in _STATUS if isinstance(error, kind)))
        except KeyboardInterrupt:
            ctx.exit(interrupted())
        except OSError as error:
            _discard_output()
            if error.errno != errno.EPIPE:
                say_if_read(f"suptree: {_NO_FOLDER if _has_no_folder(error) else error}", err=True)
            ctx.exit(EXIT_FAILED)


def _has_no_folder(error: OSError) -> bool:
    """Whether a relative path means nothing, for the folder in which the command was given is gone."""
    try:
        os.getcwd()  # noqa: PTH109  (whether it can be had, not where it is)
    except OSError as missing:
        return missing.errno == error.errno
    return False


def _discard_output() -> None:
    """What could not be written would be tried again at the end of Python, which would complain."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
