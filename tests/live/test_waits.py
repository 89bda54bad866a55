"""What waits, and for what, in a running tree: a quota, and the start of a sibling."""

import sys
from pathlib import Path

from suptree.testing import LiveTree, kill

PARKED = """
[tree]
name = "parked"

[agents.limited]
type = "process_wrapper"
command = "sh"
args = ["-c", "[ -e MARK ] && exec sleep 1000000; touch MARK; exit 75"]
park = true
"""

# In its first life it is ready immediately, in the second never.
SLOW = """
import os, pathlib, socket, time
mark = pathlib.Path("MARK")
if not mark.exists():
    mark.touch()
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(1000)
"""

WAITING = """
[tree]
name = "waiting"

[agents.slow]
type = "process_wrapper"
command = "PYTHON"
args = ["slow.py"]
ready = "notify"
heartbeat = { startup_timeout = 60 }

[agents.victim]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]

[supervisors.root]
max_restarts = 5
within = 60
"""


def test_a_parked_agent_that_a_person_starts_starts(tmp_path: Path) -> None:
    with LiveTree(PARKED.replace("MARK", str(tmp_path / "mark"))) as tree:
        tree.wait_until(lambda status: str(status["agents"][0]["detail"]).startswith("park in "))
        tree.ask(lambda client: client.start("limited"))
        row = tree.agent("limited")
        assert ("running", 2, 0) == (row["status"], row["incarnation"], row["restarts"])
        assert 0 == tree.down()
        tree.expect_nothing_left()


def test_an_agent_whose_restart_waits_for_the_start_of_a_sibling_says_so(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW.replace("MARK", str(tmp_path / "mark")))
    text = WAITING.replace("PYTHON", sys.executable).replace("slow.py", str(tmp_path / "slow.py"))
    with LiveTree(text) as tree:
        tree.wait_until_all_run()
        kill(tree.agent("slow")["pid"])
        tree.wait_until(lambda status: status["agents"][0]["status"] == "starting")
        kill(tree.agent("victim")["pid"])
        waits = "what comes next is decided when slow has started"
        row = tree.wait_until(lambda status: waits in str(status["agents"][1]["detail"]))["agents"][1]
        assert ("crashed", 1) == (row["status"], row["incarnation"])
        decided = [event for event in tree.events() if event["event"] == "agent_decided" and event["id"] == "victim"]
        assert ["wait"] == [event["decision"] for event in decided]
        assert 0 == tree.down()
        tree.expect_nothing_left()
