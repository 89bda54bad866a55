"""Which trees run, and which one a command means."""

import contextlib
import os
import socket

from suptree.actors.errors import NotRunning, SuptreeError
from suptree.actors.kernel.peers import is_owner, peer_of

from .paths import TreePaths, known_trees

TREE_VARIABLE = "SUPTREE_TREE"


def answers(paths: TreePaths) -> bool:
    """Whether a launcher of this user (or of root) listens on a tree's control socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
        probe.connect(str(paths.control_socket))
        return is_owner(peer_of(probe))
    return False


def running_trees() -> list[TreePaths]:
    """Every tree that runs under the present home."""
    return [paths for paths in known_trees() if answers(paths)]


def known_tree(name: str | None) -> TreePaths:
    """The tree of that name, which may be down; without a name the only one that runs. Raises what `find_tree` raises."""
    known = {paths.name: paths for paths in known_trees()}
    return known[name] if name in known else find_tree(name)


def find_tree(name: str | None) -> TreePaths:
    """The tree of that name (or of `$SUPTREE_TREE`); without a name the only one that runs. Raises NotRunning, SuptreeError."""
    name = name or os.environ.get(TREE_VARIABLE)
    running = running_trees()
    if name is not None:
        for paths in running:
            if paths.name == name:
                return paths
        others = f" (running: {', '.join(paths.name for paths in running)})" if running else ""
        raise NotRunning(f"tree {name!r} does not run{others}: start it with `suptree up FILE`")
    if not running:
        raise NotRunning("no tree runs: start one with `suptree up FILE`")
    if len(running) > 1:
        raise SuptreeError(f"several trees run: {', '.join(paths.name for paths in running)}; say which with --tree NAME")
    return running[0]
