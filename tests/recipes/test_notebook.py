"""Agents in a notebook: a real kernel runs the cells of the page, and cells of the test between them."""

import json
from pathlib import Path
from typing import Any

import pytest

from .page import recipes
from .running import program

KILL = """
import os, signal
os.kill(pm.processes["clock"].pid, signal.SIGKILL)
for entry in pm.events("clock", after=0):
    if entry.event.name == "started" and entry.event.incarnation == 2:
        break
print(pm.processes["clock"].status.value, pm.processes["clock"].incarnation)
"""

INTERRUPT = """
import os, signal, threading
assert os.getpgrp() == os.getpid()
threading.Timer(1, os.killpg, [os.getpgrp(), signal.SIGINT]).start()
try:
    pm.wait_for("clock", "stopped")
except KeyboardInterrupt:
    print("interrupted")
"""


def notebook(*cells: str) -> str:
    """A notebook of these cells, as a file holds it."""
    rest: dict[str, object] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    code = [{"id": f"cell{number}", "source": cell, **rest} for number, cell in enumerate(cells)]
    kernel = {"name": "python3", "display_name": "Python"}
    return json.dumps({"cells": code, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})


def printed(folder: Path, *cells: str) -> list[str]:
    """What each cell prints, in a kernel that leaves nothing behind."""
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    (folder / "agents.ipynb").write_text(notebook(*cells))
    with program(folder, "jupyter-execute", "--output", "done", "agents.ipynb") as executed:
        assert (0, []) == executed.ended(90), executed.output
    done: Any = json.loads((folder / "done.ipynb").read_text())
    return ["".join(text for output in cell["outputs"] for text in output.get("text", [])) for cell in done["cells"]]


def test_the_cells_of_a_notebook_start_an_agent_read_it_and_end_it(tmp_path: Path) -> None:
    page = recipes()
    _, read, killed, interrupted, _, awaited = printed(
        tmp_path, page["cell_1.py"], page["cell_2.py"], KILL, INTERRUPT, page["cell_3.py"], page["cell_with_await.py"]
    )
    assert 3 == len(read.splitlines())
    assert ("running 2\n", "interrupted\n") == (killed, interrupted)
    assert 1 == len(awaited.splitlines())


def test_a_kernel_that_ends_takes_along_what_no_cell_has_ended(tmp_path: Path) -> None:
    page = recipes()
    assert "running\n" == printed(tmp_path, page["cell_1.py"], 'print(pm.wait_for("clock", "running", timeout=10).status.value)')[1]
