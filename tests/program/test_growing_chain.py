"""A chain of processes, each the parent of the next, which grows whenever one of them is killed: a tree ends them all."""

import asyncio
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from suptree.actors.kernel.sweep import sweep
from suptree.control.trees import leftovers
from suptree.control.trees.standing import RUN_VARIABLE

LINKS = 300
WITHIN = 20.0
SOURCES = Path(__file__).parents[1] / "programs"
_PR_SET_CHILD_SUBREAPER = 36

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler (cc)")


RUN = f"run-of-{os.getpid()}"


@pytest.fixture(params=["growing_chain.c", "revived_chain.c"])
def chain(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The program, whose processes are not there afterwards. The kernel lets those of the second go on after a SIGSTOP."""
    program = tmp_path / "chain"
    subprocess.run(["cc", "-o", program, SOURCES / request.param], check=True, timeout=60)
    yield program
    leftovers.end(RUN)


def grow(chain: Path) -> None:
    said = chain.with_name("said")
    with said.open("w") as output:
        environment = {**os.environ, RUN_VARIABLE: RUN}
        assert 0 == subprocess.call([chain, str(LINKS)], stdout=output, stderr=output, timeout=60, env=environment)
    assert "grown\n" == said.read_text()


def test_a_sweep_ends_all_of_it(chain: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    # As an actor does: what is left behind becomes ours.
    assert 0 == libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    stuck: list[int] = []
    ended: list[int] = []
    try:
        grow(chain)
        assert len(psutil.Process().children(recursive=True)) > LINKS / 2
    finally:
        ended = asyncio.run(asyncio.wait_for(sweep(tuple, stuck.extend), WITHIN))
        assert 0 == libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    assert [] == psutil.Process().children()
    assert [] == stuck
    # No more than a few came up meanwhile.
    assert 0 < len(ended) <= 2 * LINKS


def test_what_a_run_left_behind_is_ended_too(chain: Path) -> None:
    grow(chain)
    assert LINKS / 2 < len(leftovers.end(RUN)) <= 2 * LINKS
    assert [] == leftovers.processes_of(RUN)
