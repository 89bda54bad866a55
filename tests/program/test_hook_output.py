"""What hooks and probes print: it takes no place that somebody can fill, holds nothing up, and is shown without secrets."""

import asyncio
import sys
import time
from pathlib import Path

import psutil

from suptree.actors.agent.confinement import Confinement
from suptree.actors.program.hooks import Hooks
from suptree.actors.spec.agent_spec import AgentSpec
from suptree.actors.state import AgentType
from suptree.testing import LiveTree

SECRET = "sk-" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def printed(*argv: str) -> list[bytes]:
    """The lines that a hook has printed; it ends well."""
    written: list[bytes] = []
    spec = AgentSpec(agent_id="a", agent_type=AgentType.PROCESS_WRAPPER, command="true")
    hooks = Hooks(lambda: None, Confinement(spec, None, umask=0o022, nofile=None), written.append)
    asyncio.run(hooks.run(argv, cwd=None, environment={"PATH": "/usr/bin:/bin"}, limit=30))
    return b"\n".join(written).splitlines()


def test_a_hook_that_prints_more_than_is_kept_is_not_held_up_and_ends_well() -> None:
    lines = printed("sh", "-c", "echo first; yes | head -c 20000000")
    assert (b"first", {b"y"}) == (lines[0], set(lines[1:]))
    assert 60_000 < sum(len(line) + 1 for line in lines) <= 65536


def test_what_a_hook_leaves_behind_holds_nothing_up(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    began = time.monotonic()
    assert [b"first", b"last"] == printed("sh", "-c", f"echo first; sleep 1000 & echo $! > {noted}; echo last")
    left = psutil.Process(int(noted.read_text()))
    # It lives, as the shell that it was forked from or as what it executes.
    assert left.name() in ("sh", "sleep")
    left.kill()
    assert time.monotonic() - began < 20


def test_of_a_line_that_is_not_kept_whole_nothing_is_written() -> None:
    script = f"print('first'); print('x' * (65536 - 20) + '{SECRET}')"
    assert [b"first"] == printed(sys.executable, "-c", script)
    assert [b"x" * 60_000] == printed(sys.executable, "-c", "print('x' * 60_000, end='')")


def test_what_a_hook_does_to_its_end_of_the_pipe_changes_nothing_at_ours() -> None:
    # What is written to a pipe with O_DIRECT is read piece by piece.
    script = "import fcntl, os; print('first', flush=True); fcntl.fcntl(1, fcntl.F_SETFL, os.O_DIRECT); os.system('echo last')"
    assert [b"first", b"last"] == printed(sys.executable, "-c", script)


def test_what_a_failing_probe_prints_is_cut_after_its_secrets_are_hidden() -> None:
    probe = """liveness_probe = { exec = ["sh", "-c", "printf '%0180d key=%s' 7 $API_KEY; exit 1"], period = 0.2, failure_threshold = 1 }"""
    tree = f'[agents.a]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000"]\nenv = {{ API_KEY = "{SECRET}" }}\n{probe}\n'
    with LiveTree(tree) as live:
        status = live.wait_until(lambda s: s["agents"][0]["last_exit"] is not None, 30)
        assert "unhealthy" == status["agents"][0]["last_exit"]["class"]
        assert "key=" in status["agents"][0]["last_exit"]["reason"]
        files = [path for path in live.home.rglob("*") if path.is_file() and path.name != "tree.toml"]
        assert [] == [path for path in files if SECRET[:12].encode() in path.read_bytes()]
