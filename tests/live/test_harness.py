"""The test harness that we ship: a test leaves neither a process nor a folder, however it ends."""

import signal

import pytest

from suptree.testing import LiveTree, kill

TREE = """
[agents.a]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
"""


def left_by(tree: LiveTree) -> list[object]:
    """The processes and folders of a tree that has ended which are still there."""
    folders = (tree.home, tree.launcher.paths.runtime, tree.launcher.paths.shared)
    return [*tree.processes(), *(folder for folder in folders if folder.exists())]


def test_a_test_that_fails_leaves_nothing() -> None:
    with pytest.raises(ZeroDivisionError), LiveTree(TREE) as tree:
        tree.wait_until_all_run()
        raise ZeroDivisionError

    assert [] == left_by(tree)


def test_a_test_that_kills_all_who_could_remove_the_sockets_leaves_nothing() -> None:
    with LiveTree(TREE) as tree:
        tree.wait_until_all_run()
        # Of these two, each removes the sockets when the other one ends.
        kill(tree.status()["pids"]["top"], signal.SIGSTOP)
        kill(tree.launcher.process.pid)
        tree.launcher.process.wait(20)
        assert tree.launcher.paths.control_socket.exists()
        tree.end_by_force()
        assert tree.launcher.paths.control_socket.exists()

    assert [] == left_by(tree)
