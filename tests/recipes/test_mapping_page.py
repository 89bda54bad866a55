"""Each line of `docs/from-a-process-manager.md` is checked on a real tree, and each check has its line."""

import asyncio
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from suptree.control import ProcessManager
from tests.embedded.managed import AGENTS, SLEEP, STEADY
from tests.project.repository import ROOT

from .mapping_checks import CHECKS, Check

PAGE = ROOT / "docs" / "from-a-process-manager.md"
CODE = re.compile(r"`([^`]+)`")


def lines_of_the_page() -> list[str]:
    """The words of code of each line, from the first of its cells that has some: what a program calls."""
    rows = [line.strip("|").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [next((cell for cell in row if CODE.search(cell)), "") for row in rows]
    return [", ".join(CODE.findall(cell)) for cell in cells if cell]


@pytest.fixture(scope="module")
def tree() -> Iterator[Callable[[Check], None]]:
    """Runs checks on one tree, in which the agents `p` and `n` run."""
    sys.path.insert(0, AGENTS)
    with tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as folder, asyncio.Runner() as runner:
        pm = ProcessManager(state_dir=folder)
        try:
            assert runner.run(pm.start_agent("p", "process_wrapper", SLEEP))
            assert runner.run(pm.start_agent("n", "native_llm", STEADY))

            def run(check: Check) -> None:
                runner.run(check(pm, Path(folder)))  # type: ignore[arg-type]

            yield run
        finally:
            runner.run(pm.shutdown_all())
            sys.path.remove(AGENTS)
    assert [] == psutil.Process().children(recursive=True)


@pytest.mark.parametrize("called", lines_of_the_page())
def test_a_line_of_the_page_does_what_it_says(called: str, tree: Callable[[Check], None]) -> None:
    assert called in CHECKS, f"no check for this line: {called}"
    tree(CHECKS[called])


def test_each_check_has_a_line() -> None:
    assert sorted(CHECKS) == sorted(lines_of_the_page())
