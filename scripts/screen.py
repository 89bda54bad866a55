"""All lines that the commands print. Text of agents, programs and files is made printable here, so that no command can forget it."""

import json
import sys
from typing import Any

from suptree.actors.output.printable import printable_lines, printable_output


def say(text: str, *, err: bool = False) -> None:
    """Print a text of one line or several."""
    write(printable_lines(text), err=err)


def say_output(line: str, *, raw: bool) -> None:
    """Print a line that an agent printed: with its colours, and without whatever else it does to a terminal unless it is to be `raw`."""
    write(line if raw else printable_output(line))


def write(text: str, *, end: str = "\n", err: bool = False) -> None:
    """Print a text as it is, immediately."""
    print(text, end=end, file=sys.stderr if err else sys.stdout, flush=True)


def print_json(value: Any) -> None:
    """Print a value as JSON, on one line when it goes to a program."""
    write(json.dumps(value, indent=2 if sys.stdout.isatty() else None))
