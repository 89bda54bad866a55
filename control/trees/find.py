"""Which trees run, and which one a command means."""

import os
from dataclasses import replace

from suptree.actors.errors import NotRunning, SuptreeError

from .paths import TreePaths, known_trees
from .standing import Running, standing

TREE_VARIABLE = "SUPTREE_TREE"


def running_trees() -> list[Running]:
    """Every tree that runs under the present home, where this process can reach it."""
    found, _ = _look(known_trees())
    return _each_once(found)


def known_tree(name: str | None) -> TreePaths:
    """The tree of that name, which may be down; without a name the only one that runs. Raises what `find_tree` raises."""
    known = {paths.name: paths for paths in known_trees()}
    return known[name] if name in known else find_tree(name).paths


def find_tree(name: str | None) -> Running:
    """The tree of that name (or of `$SUPTREE_TREE`); without a name the only one that runs.

    Raises NotRunning, SuptreeError when several run, and what `standing` raises.
    """
    name = name or os.environ.get(TREE_VARIABLE)
    found, refusals = _look(known_trees())
    running = _each_once(found)
    if name is not None:
        if name in found:
            return found[name]
        if name in refusals:
            raise refusals[name]
        others = f" (running: {', '.join(tree.paths.name for tree in running)})" if running else ""
        raise NotRunning(f"tree {name!r} does not run{others}: start it with `suptree up FILE`")
    if len(running) > 1:
        raise SuptreeError(f"several trees run: {', '.join(tree.paths.name for tree in running)}; say which with --tree NAME")
    if running:
        return running[0]
    for refusal in refusals.values():
        raise refusal
    raise NotRunning("no tree runs: start one with `suptree up FILE`")


def _each_once(found: dict[str, Running]) -> list[Running]:
    return list({tree.pid: tree for tree in found.values()}.values())


def _look(known: list[TreePaths]) -> tuple[dict[str, Running], dict[str, SuptreeError]]:
    """The tree behind each name that leads to one that runs, and by name what `standing` raises of others.

    Several names lead to one launcher where its state folder was renamed, or a link leads there: that is one tree.
    """
    running: list[tuple[TreePaths, Running]] = []
    refusals: dict[str, SuptreeError] = {}
    for paths in known:
        try:
            if (found := standing(paths)) is not None:
                running.append((paths, found))
        except SuptreeError as refusal:
            refusals[paths.name] = refusal
    trees = {pid: _one([each for each in running if each[1].pid == pid]) for pid in {tree.pid for _, tree in running}}
    return {paths.name: trees[tree.pid] for paths, tree in running}, refusals


def _one(seen: list[tuple[TreePaths, Running]]) -> Running:
    """One tree that was seen under several names: as its launcher answers, under the name after which that has named its runtime folder."""
    best = max((tree for _, tree in seen), key=lambda tree: tree.answers)
    named = next((paths for paths, _ in seen if paths.runtime.name == best.paths.runtime.name), best.paths)
    return replace(best, paths=replace(named, runtime=best.paths.runtime))
