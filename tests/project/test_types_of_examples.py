"""What users copy passes the strictest type check: the examples, and the recipes of `docs/embedding.md`."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.project.repository import ROOT, files
from tests.recipes.page import recipes

AWAITS = "cell_with_await.py"


def modules() -> dict[str, str]:
    """The files of the page as mypy can read them: the cells of a notebook are one file, and what a cell awaits is in a function."""
    found: dict[str, str] = {}
    for name, text in recipes().items():
        if name.startswith("cell_") and name != AWAITS:
            found["cells.py"] = found.get("cells.py", "") + text
        elif name.endswith(".py"):
            found[name.replace(".conf.py", "_conf.py")] = text
    found[AWAITS] = "async def cell() -> None:\n" + textwrap.indent(found[AWAITS], "    ")
    return found


def strictly_checked(folder: Path, *paths: Path) -> str:
    """What mypy says of these files."""
    cache = Path(sys.executable).parents[1] / ".mypy_cache"
    options = ["--strict", f"--config-file={ROOT}/pyproject.toml", f"--cache-dir={cache}"]
    command = [sys.executable, "-m", "mypy", *options, *map(str, paths)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False).stdout


def test_the_examples_and_the_recipes_pass_mypy_strict(tmp_path: Path) -> None:
    for library in ("fastapi", "pytest_asyncio", "uvloop"):
        pytest.importorskip(library)
    written = []
    for name, text in modules().items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)

    checked = [*written, *files(".py", "examples")]
    assert f"Success: no issues found in {len(checked)} source files\n" == strictly_checked(tmp_path, *checked)


def test_a_key_that_there_is_not_is_seen_by_mypy(tmp_path: Path) -> None:
    path = tmp_path / "faulty.py"
    path.write_text('from suptree.control import ProcessAgent\n\nProcessAgent(comand="sleep")\n', encoding="utf-8")
    assert '"comand"' in strictly_checked(tmp_path, path)
