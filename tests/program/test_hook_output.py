"""What hooks and probes print: kept where nobody else can fill the place, and without secrets."""

import asyncio
import sys
from pathlib import Path

import pytest

from suptree.actors.agent.confinement import Confinement
from suptree.actors.program.hooks import Hooks
from suptree.actors.spec.agent_spec import AgentSpec
from suptree.actors.state import AgentType
from suptree.testing import LiveTree
from tests.full_disk import fill, needs_root, small_disk

SECRET = "sk-" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def printed(folder: Path, *argv: str) -> list[bytes]:
    """The lines that a hook has printed; it ends well."""
    written: list[bytes] = []
    spec = AgentSpec(agent_id="a", agent_type=AgentType.PROCESS_WRAPPER, command="true")
    hooks = Hooks(lambda: None, Confinement(spec, None, umask=0o022, nofile=None), written.append, str(folder))
    asyncio.run(hooks.run(argv, cwd=None, environment={"PATH": "/usr/bin:/bin"}, limit=30))
    return b"\n".join(written).splitlines()


def take_all_names(folder: Path) -> None:
    for number in range(1_000_000):
        try:
            (folder / str(number)).touch()
        except OSError:
            return


@needs_root
@pytest.mark.parametrize("fill_it", [fill, take_all_names])
def test_a_hook_that_prints_ends_well_while_its_folder_is_full(tmp_path: Path, fill_it: object) -> None:
    assert callable(fill_it)
    with small_disk(tmp_path) as disk:
        fill_it(disk)
        assert [b"first", b"last"] == printed(disk, "sh", "-c", "set -e; echo first; echo last")


def test_of_a_line_that_is_not_kept_whole_nothing_is_written(tmp_path: Path) -> None:
    script = f"print('first'); print('x' * (65536 - 20) + '{SECRET}')"
    assert [b"first"] == printed(tmp_path, sys.executable, "-c", script)
    assert [b"x" * 60_000] == printed(tmp_path, sys.executable, "-c", "print('x' * 60_000, end='')")


def test_what_a_hook_does_to_its_open_file_changes_nothing_of_how_it_is_read(tmp_path: Path) -> None:
    # Reads of a file that is open with O_DIRECT have to be aligned.
    script = "import fcntl, os; print('first', flush=True); fcntl.fcntl(1, fcntl.F_SETFL, os.O_DIRECT); os.system('echo last')"
    lines = printed(tmp_path, sys.executable, "-c", script)
    assert b"first" == lines[0]


def test_what_a_failing_probe_prints_is_cut_after_its_secrets_are_hidden() -> None:
    probe = """liveness_probe = { exec = ["sh", "-c", "printf '%0180d key=%s' 7 $API_KEY; exit 1"], period = 0.2, failure_threshold = 1 }"""
    tree = f'[agents.a]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000"]\nenv = {{ API_KEY = "{SECRET}" }}\n{probe}\n'
    with LiveTree(tree) as live:
        status = live.wait_until(lambda s: s["agents"][0]["last_exit"] is not None, 30)
        assert "unhealthy" == status["agents"][0]["last_exit"]["class"]
        assert "key=" in status["agents"][0]["last_exit"]["reason"]
        files = [path for path in live.home.rglob("*") if path.is_file() and path.name != "tree.toml"]
        assert [] == [path for path in files if SECRET[:12].encode() in path.read_bytes()]
