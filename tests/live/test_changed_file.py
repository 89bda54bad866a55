"""A tree file that was changed while its tree runs: status says so, by what the file means."""

import os
import subprocess
import sys
from pathlib import Path

from suptree.testing.live_tree import LiveTree

SUPTREE = str(Path(sys.executable).parent / "suptree")
TREE = """
[agents.a]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
"""


def test_status_says_in_what_the_file_differs_from_what_runs() -> None:
    with LiveTree(TREE) as tree:
        assert tree.status()["file_differs"] is None
        tree.file.write_text("# a remark\n" + TREE)
        assert tree.status()["file_differs"] is None
        tree.file.write_text(TREE.replace("1000000", "1000001") + TREE.replace("agents.a", "agents.n"))
        expected = f"{tree.file} differs from what runs (changed: root, a; new: n): `suptree down` and `suptree up {tree.file}`"
        assert f"{expected} run what it says now" == tree.status()["file_differs"]
        for command in (["status"], ["restart", "a"], ["up", str(tree.file), "-d"]):
            done = subprocess.run(
                [SUPTREE, *command],
                env={**os.environ, "SUPTREE_HOME": str(tree.home)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (command, True) == (command, expected in done.stdout + done.stderr), done
        tree.file.write_text("[[[")
        assert "cannot be read as a tree file any more" in str(tree.status()["file_differs"])
        tree.file.write_text(TREE)
        assert tree.status()["file_differs"] is None
