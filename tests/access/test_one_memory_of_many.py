"""Thousands of processes share one memory, which costs their agent next to nothing, and costs those who look at each of them much."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.kernel.cgroup import OFF_VARIABLE
from suptree.actors.kernel.linux import children_of
from suptree.testing import LiveTree
from tests.polling import poll_until

from .other_user import NOBODY, needs_root

pytestmark = needs_root

SOURCE = Path(__file__).parents[1] / "programs" / "shares_one_memory.c"
LOOKED_AT_FOR = 14.0
"""Seconds: longer than an actor may be silent."""


@pytest.fixture
def program() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "shares_one_memory")
        subprocess.run(["cc", "-o", made, SOURCE], check=True, timeout=60)
        Path(folder).chmod(0o755)
        yield made


def table(program: Path, *arguments: int, more: str) -> str:
    given = ", ".join(f'"{argument}"' for argument in arguments)
    return (
        f'[agents.many]\ntype = "process_wrapper"\nuser = "{NOBODY.pw_name}"\ncommand = "{program}"\nargs = [{given}]\ncwd = "/"\n{more}\n'
    )


def live_through(tree: LiveTree) -> None:
    """Wait until that agent has lived for long, and its actor was heard all the time."""

    def row() -> dict[str, Any]:
        found: dict[str, Any] = tree.agent("many")
        assert (1, False, None) == (found["incarnation"], found["suspect"], found["last_exit"]), found
        return found

    poll_until(lambda: row()["uptime"] > LOOKED_AT_FOR, 60, "it lives on")
    assert [] == [event for event in tree.events() if event["event"] == "agent_suspect"]


def test_a_probe_does_not_read_all_their_environments(program: Path) -> None:
    ran = program.with_name("ran")
    ran.touch()
    ran.chmod(0o666)
    probe = f'liveness_probe = {{ exec = ["sh", "-c", "echo >>{ran}"], period = 2, initial_delay = 1 }}'
    with LiveTree(table(program, 5000, 2, 0, more=probe)) as tree:
        poll_until(lambda: len(children_of(tree.agent("many")["actor_pid"])) > 5000, 30, "they are there")
        live_through(tree)
        assert len(ran.read_text()) >= 3


def test_how_much_memory_they_have_is_found_out_in_turns(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OFF_VARIABLE, "off")
    with LiveTree(table(program, 300, 0, 20_000, more='limits = { memory_max = "2G" }')) as tree:
        live_through(tree)
