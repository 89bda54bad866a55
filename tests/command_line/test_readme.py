"""What the README shows is what happens."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from suptree.scripts.commands import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
# What differs from one run to the next.
VARYING = re.compile(r"\d+")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SUPTREE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    (tmp_path / "shop.toml").write_text(blocks("toml")[0])
    yield tmp_path
    subprocess.run(["suptree", "down"], capture_output=True, timeout=60, check=False)


def test_the_embedding_example_prints_what_the_readme_says(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(blocks("python")[0])
    done = subprocess.run([sys.executable, str(tmp_path / "program.py")], capture_output=True, text=True, timeout=60, check=True)
    assert "running 2\n" == done.stdout
    assert "It prints `running 2`" in README


def test_the_console_example_runs_as_shown(shop: Path) -> None:
    (session,) = blocks("console")
    for command, expected in re.findall(r"^\$ (.*)\n([^$]*)", session, re.MULTILINE):
        done = subprocess.run(command.split(), cwd=shop, capture_output=True, text=True, timeout=60, check=True)
        assert VARYING.sub("N", expected) == VARYING.sub("N", done.stdout)


def test_the_test_example_passes_with_the_plugin_as_it_comes(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(next(block for block in blocks("python") if "supervised_tree" in block))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert "1 passed" in done.stdout


def test_the_command_table_names_every_command_and_no_other() -> None:
    shown = set(re.findall(r"^\| `suptree (\w+)", README, re.MULTILINE)) | {"stop", "restart", "kill"}
    assert shown == set(COMMANDS)


def test_the_two_commands_stand_first_and_exist() -> None:
    first = [line.strip() for line in README.splitlines() if line.startswith("    ")][:2]
    assert ["./scripts/demo", "./scripts/test"] == first
    assert all(os.access(ROOT / command, os.X_OK) for command in first)


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(((?!http)[^)]+)\)", README)
    assert [] == [link for link in links if not (ROOT / link).exists()]
