"""`suptree key`: where the key is, and another one."""

import os
import subprocess
import sys

from suptree.control.seal.tree_key import fingerprint, key_path, tree_key
from suptree.testing import LiveTree

from .sealed_tree import fleet


def run(tree: LiveTree, *arguments: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-m", "suptree.scripts.main", "key", *arguments],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "SUPTREE_HOME": str(tree.home)},
    )  # fmt: skip
    return ended.returncode, ended.stdout, ended.stderr


def test_a_key_is_shown_by_its_fingerprint_and_a_new_one_is_in_force_from_the_next_start_on() -> None:
    with fleet() as tree:
        state = tree.launcher.paths.state
        old = tree_key(state)
        assert (0, f"{key_path(state)} {fingerprint(old)}\n", "") == run(tree)

        status, said, warned = run(tree, "--rotate")
        new = tree_key(state)
        assert (0, f"{key_path(state)} {fingerprint(new)}\n") == (status, said)
        assert "sealed runs, and keeps its old key until `suptree down`\n" == warned
        assert old != new
        # The run goes on with the key that it began with.
        before = tree.wait_until_all_run()
        os.kill(next(row["pid"] for row in before["agents"] if row["id"] == "victim"), 9)
        tree.wait_until(lambda s: next(row for row in s["agents"] if row["id"] == "victim")["incarnation"] == 2)

        tree.down()
        assert (0, f"{key_path(state)} {fingerprint(new)}\n", "") == run(tree, "--tree", "sealed")
        tree.up()
        tree.wait_until_all_run()
        assert new == tree_key(state)


def test_the_key_of_a_tree_that_nobody_knows_is_not_made() -> None:
    with fleet() as tree:
        status, said, error = run(tree, "--tree", "elsewhere", "--rotate")
        assert (3, "") == (status, said)
        assert "suptree: tree 'elsewhere' does not run (running: sealed): start it with `suptree up FILE`\n" == error
        assert not (tree.home / "trees" / "elsewhere").exists()
