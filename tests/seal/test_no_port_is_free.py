"""Another user of the machine has taken every port of loopback that the kernel gives out."""

import subprocess
import sys

import pytest

from tests.access.other_user import needs_root

pytestmark = needs_root

WITHIN = 60.0

# A network of its own, where the kernel gives out no port while the range holds only ports that somebody listens on.
IN_ITS_OWN_NETWORK = 'ip link set lo up && exec "$0" "$@"'
RESTARTS_WITHOUT_A_PORT = f"""
import os, signal, socket, time
from pathlib import Path
from suptree.testing import LiveTree

PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")

with LiveTree('[agents.a]\\ntype = "process_wrapper"\\ncommand = "sleep"\\nargs = ["1000"]\\n') as tree:
    tree.wait_until_all_run({WITHIN})
    taken = [socket.create_server(("127.0.0.1", port)) for port in (1500, 1501)]
    free = PORTS.read_text()
    PORTS.write_text("1500 1501")
    os.kill(tree.agent("a")["pid"], signal.SIGKILL)
    tree.wait_until(lambda status: status["agents"][0]["incarnation"] == 2, {WITHIN})
    time.sleep(2)
    print(tree.agent("a")["status"], tree.agent("a")["incarnation"])
    PORTS.write_text(free)
    tree.wait_until_all_run({WITHIN})
    print(tree.agent("a")["incarnation"])
"""


def test_an_agent_that_restarts_while_no_port_is_free_waits_for_one_and_the_tree_goes_on() -> None:
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", IN_ITS_OWN_NETWORK, sys.executable, "-c", RESTARTS_WITHOUT_A_PORT],
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * WITHIN,
    )
    if "ermitted" in done.stderr or "not found" in done.stderr or "Read-only" in done.stderr:
        pytest.skip("no network of its own can be made here")
    assert (["starting 2", "2"], 0) == (done.stdout.splitlines(), done.returncode), done.stderr
