"""A program that embeds a tree finds our warnings in its own logging, and nothing of ours in its output."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest


def test_a_program_that_embeds_a_tree_has_its_own_output_for_itself(tmp_path: Path) -> None:
    program = """
import asyncio, logging, sys
from suptree.control import ProcessManager

if sys.argv[1] == "configured":
    logging.basicConfig(level=logging.INFO)

async def main():
    async with ProcessManager() as manager:
        assert await manager.start_agent("a", "process_wrapper", {"command": "sleep", "args": ["1000000"]})
        assert not await manager.start_agent("a", "process_wrapper", {"command": "sleep", "args": ["1000000"]})
        assert not await manager.start_agent("b\\x1b[2J", "process_wrapper", {"command": "sleep"})
        assert not await manager.start_agent("c", "process_wrapper", {"command": "/no/such/command"})
        assert not await manager.tell("a", "hello")

asyncio.run(main())
"""
    (tmp_path / "program.py").write_text(program)
    for configured in ("configured", "not"):
        done = subprocess.run(
            [sys.executable, tmp_path / "program.py", configured], capture_output=True, text=True, timeout=120, check=False
        )
        assert (0, "") == (done.returncode, done.stdout)
        warnings = done.stderr.splitlines()
        starts = ("could not start agent a:", r"could not start agent b\x1b[2J:", "could not start agent c:", "could not tell agent a:")
        assert [True] * 4 == [start in warning for start, warning in zip(starts, warnings, strict=True)]


def test_what_a_program_itself_asks_of_httpx_is_logged_as_before(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    transport = httpx.MockTransport(lambda _request: httpx.Response(200))

    with httpx.Client(transport=transport) as client:
        client.get("http://example.org/")

    assert "GET http://example.org/" in caplog.text
