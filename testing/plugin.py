"""The pytest plugin: `supervised_tree` runs a tree for a test, and fails the test that leaves a process behind."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .live_tree import LiveTree


@pytest.fixture
def supervised_tree() -> Iterator[Callable[[str | Path], LiveTree]]:
    """Call it with the text or the path of a tree file: a LiveTree that is up, and is stopped and checked after the test."""
    with ExitStack() as trees:
        yield lambda tree: trees.enter_context(LiveTree(tree))
