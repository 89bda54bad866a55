"""A command that the kernel does not execute is explained by what is wrong with its file."""

from pathlib import Path

import pytest

from suptree.actors.deaths.explanation import screen
from suptree.testing import LiveTree

NO_PROGRAM = ("not_a_program", "Its command is a file that is no program.", "Begin a script with #!")
NO_INTERPRETER = ("no_interpreter", "The interpreter of its command was not found.", "Correct its first line (#!)")
MAY_NOT = ("not_executable", "A command was found, but cannot be executed.", "Make it executable (chmod +x)")


@pytest.mark.parametrize(
    ("content", "mode", "explained"),
    [
        (b"", 0o755, NO_PROGRAM),
        (b"echo no shebang\n", 0o755, NO_PROGRAM),
        (b"\x7fELF\x01\x01\x01garbage", 0o755, NO_PROGRAM),
        (b"#!/no/such/shell\n", 0o755, NO_INTERPRETER),
        (b"#!/bin/sh\r\n", 0o755, NO_INTERPRETER),
        (b"#!/bin/sh\n", 0o644, MAY_NOT),
    ],
)
def test_only_what_is_not_executable_is_to_be_made_executable(
    tmp_path: Path, content: bytes, mode: int, explained: tuple[str, str, str]
) -> None:
    program = tmp_path / "program"
    program.write_bytes(content)
    program.chmod(mode)
    with LiveTree(f'[agents.a]\ntype = "process_wrapper"\ncommand = "{program}"\nhold = true\n') as tree:
        tree.wait_until(lambda status: status["agents"][0]["held"])
        found = tree.ask(lambda client: client.explanation("a"))
    cause, what, advice = explained
    lines = "\n".join(screen(found))
    assert cause == found["deaths"][0]["exit"]["cause"]
    assert [] == [part for part in (f"what       {what}", f"advice     {advice}") if part not in lines]
    assert ("chmod" in advice) == ("chmod +x)," in lines)
