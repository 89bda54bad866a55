"""The example of an MCP client, with three real servers from npm, each directly and through `npx`."""

import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.fleet.programs import MCP_SERVERS, install_mcp_servers

EXAMPLE = Path(__file__).parents[2] / "examples" / "mcp_client.py"
LIMIT = 120


@pytest.fixture(scope="module")
def npm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None or shutil.which("npx") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("npm")
    try:
        install_mcp_servers(folder)
    except subprocess.SubprocessError as error:
        pytest.skip(f"npm cannot install the servers: {error}")
    return folder


def client(arguments: list[str], folder: Path) -> str:
    """What the example prints."""
    result = subprocess.run(
        [sys.executable, EXAMPLE, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert 0 == result.returncode, result.stderr
    return result.stdout


@pytest.mark.parametrize("name", MCP_SERVERS)
@pytest.mark.parametrize("through", ["node", "npx"])
def test_a_server_is_asked_killed_in_the_middle_of_a_call_and_asked_again(name: str, through: str, npm_folder: Path) -> None:
    more = [str(npm_folder)] if name == "filesystem" else []
    if through == "node":
        command = [str(npm_folder / "node_modules" / ".bin" / f"mcp-server-{name}")]
    else:
        command = ["npx", "--no-install", f"mcp-server-{name}"]
    tools, *said = client([*command, *more], npm_folder).splitlines()
    assert tools.startswith("tools: ")
    (killed,) = (place for place, line in enumerate(said) if line.startswith("killed: "))
    assert "killed: 'mcp' (incarnation 1) ended: crash (SIGKILL)" == said[killed]
    before, after = said[:killed], said[killed + 1 :]
    assert before
    assert before == after
    assert [] == [process for process in psutil.Process().children(recursive=True) if process.status() != psutil.STATUS_ZOMBIE]


def test_a_command_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, EXAMPLE, "/no/such/server"], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert (1, True) == (result.returncode, "/no/such/server could not be started" in result.stderr)


def test_what_the_readme_shows_first_prints_the_tools_of_a_real_server(npm_folder: Path) -> None:
    readme = (EXAMPLE.parents[1] / "README.md").read_text(encoding="utf-8")
    (program,) = (block.split("```")[0] for block in readme.split("```python\n")[1:] if "pm.stdio" in block)
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=npm_folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=True)
    assert "'echo'" in result.stdout
