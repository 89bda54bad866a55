"""A command imports what it uses itself: one that asks where the agents stand does not pay for what reads tree files."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from suptree.scripts import commands
from suptree.scripts.command_line import main
from suptree.scripts.commands import COMMANDS

IMPORTED = """
import json, sys
from suptree.scripts.main import main
sys.argv = ["suptree", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
CHECKS_CONFIGURATION = {"pydantic", "tomllib"}
RUNS_A_TREE = {"structlog", "thespian", "uvicorn", "starlette", "suptree.control.launcher"}


def imported(home: Path, *arguments: str) -> set[str]:
    """The modules that a command has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", IMPORTED, *arguments],
        env={"PATH": "/usr/bin:/bin", "SUPTREE_HOME": str(home), "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_imports_no_command(tmp_path: Path) -> None:
    found = imported(tmp_path, "--help")
    assert "click" in found
    assert set() == found & {"asyncio", "httpx", "rich", "psutil", *CHECKS_CONFIGURATION, *RUNS_A_TREE}
    assert set() == {f"{commands.__name__}.{module}" for module, _ in COMMANDS.values()} & found


@pytest.mark.parametrize("arguments", [("status",), ("stop", "a"), ("restart", "a"), ("tell", "a", "x")])
def test_a_command_that_asks_a_tree_imports_nothing_that_makes_one(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    found = imported(tmp_path, *arguments)
    assert "httpx" in found
    # The command line of httpx imports these.
    assert set() == found & {"rich", "pygments"}
    assert set() == found & {"psutil", *CHECKS_CONFIGURATION, *RUNS_A_TREE}


def test_every_command_is_where_the_table_says_and_begins_its_help_with_what_stands_there() -> None:
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in main.list_commands(context)}
    first = {name: (inspect.cleandoc((command and command.help) or "")).partition("\n\n")[0] for name, command in found.items()}
    assert {name: help_ for name, (_, help_) in COMMANDS.items()} == first
    assert main.get_command(context, "nothing") is None


def test_every_command_of_a_module_stands_in_the_table() -> None:
    context = click.Context(main)
    modules = {module for module, _ in COMMANDS.values()}
    assert all(main.get_command(context, name) for name in COMMANDS)
    made = {
        name
        for module in modules
        for name, value in vars(sys.modules[f"{commands.__name__}.{module}"]).items()
        if isinstance(value, click.Command)
    }
    assert set(COMMANDS) == made
