"""A run file or a launcher's log that was edited: no command fails over it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suptree.control.trees.last_run import how_it_ended
from suptree.control.trees.leftovers import left_of
from suptree.control.trees.paths import TreePaths
from suptree.control.trees.run_file import Run, recorded
from suptree.control.trees.standing import standing

VALUES: tuple[Any, ...] = (
    None,
    True,
    7,
    -1,
    0,
    2.5,
    10**30,
    "",
    "x",
    "a\0b",
    "/a\0b",
    "\ud800",
    [],
    [7],
    [[7]],
    [["x", 7]],
    {},
    {"host": 7},
)


@pytest.fixture
def paths(tmp_path: Path) -> TreePaths:
    found = TreePaths("t", tmp_path / "state", tmp_path / "run")
    found.state.mkdir()
    return found


def written(paths: TreePaths) -> dict[str, Any]:
    run = replace(Run.of_this_process(paths, "0" * 32), left=((7, 7),))
    run.write(paths)
    assert run == recorded(paths)
    found: dict[str, Any] = json.loads(paths.run_file.read_text())
    return found


def use(paths: TreePaths) -> None:
    """As the commands do."""
    run = recorded(paths)
    assert standing(paths) is None
    how_it_ended(paths)
    left_of(paths, "0" * 32 if run is None else run.run_id)


def test_whatever_a_run_file_says_the_commands_can_use_it(paths: TreePaths) -> None:
    good = written(paths)
    for holder, name in [*(((), name) for name in good), *((("place",), name) for name in good["place"])]:
        for value in VALUES:
            edited = json.loads(json.dumps(good))
            of = edited["place"] if holder else edited
            of[name] = value
            paths.run_file.write_text(json.dumps(edited))
            use(paths)


EDITS: dict[str, Callable[[str], str]] = {
    "NaN": lambda text: text.replace("[[7, 7]]", "[[NaN, 7]]"),
    "without end": lambda text: text.replace("[[7, 7]]", "[[Infinity, 7]]"),
    "too large": lambda text: text.replace("[[7, 7]]", "[[1e999, 7]]"),
    "many digits": lambda text: text.replace("[[7, 7]]", f"[[{'9' * 5000}, 7]]"),
    "deep": lambda _text: '{"a":' + "[" * 200_000,
    "a path as its token": lambda text: text.replace("0" * 32, "../other"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_what_no_launcher_writes_is_no_run(edit: Callable[[str], str], paths: TreePaths) -> None:
    written(paths)
    text = paths.run_file.read_text()
    after = edit(text)
    assert text != after
    paths.run_file.write_text(after)
    assert recorded(paths) is None
    use(paths)


def test_a_line_of_a_launchers_log_that_is_nested_very_deep_is_passed_over(paths: TreePaths) -> None:
    lines = ['{"event": "tree_gave_up", "timestamp": "now", "why": "root exited"}', '{"a":' + "[" * 200_000, '{"a": NaN}', "{"]
    paths.launcher_log.write_text("\n".join(lines) + "\n")
    assert f"tree 't' gave up at now: root exited (all of it: {paths.launcher_log})" == how_it_ended(paths)
