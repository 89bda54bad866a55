"""Programs whose event loop comes from a library: pytest-asyncio and uvloop."""

from pathlib import Path

import pytest

from .page import write
from .running import program


@pytest.mark.parametrize("scope", ["function", "session"])
def test_a_test_under_pytest_asyncio_has_a_tree_of_its_own_or_of_its_session(tmp_path: Path, scope: str) -> None:
    pytest.importorskip("pytest_asyncio")
    write(tmp_path, "test_clock.py")
    if scope == "session":
        file = tmp_path / "test_clock.py"
        text = file.read_text().replace("@pytest_asyncio.fixture\n", '@pytest_asyncio.fixture(scope="session", loop_scope="session")\n')
        file.write_text(text.replace("@pytest.mark.asyncio\n", '@pytest.mark.asyncio(loop_scope="session")\n'))
        assert 3 == file.read_text().count("session")
    with program(tmp_path, "pytest", "-q", "test_clock.py") as tests:
        assert (0, []) == tests.ended(), tests.output
        assert "1 passed" in tests.output


def test_a_program_on_uvloop_sees_its_agent_restarted(tmp_path: Path) -> None:
    pytest.importorskip("uvloop")
    write(tmp_path, "main.py")
    with program(tmp_path, "python", "main.py") as running:
        assert (0, []) == running.ended(), running.output
        assert "uvloop 2\n" == running.output
