"""Another user of the machine has taken every port of loopback that the kernel gives out."""

import subprocess
import sys

import pytest

from tests.access.other_user import needs_root

pytestmark = needs_root

WITHIN = 60.0

# A network of its own, with few ports, so that others on the machine have theirs. The port of the actor that ends is taken as well.
IN_ITS_OWN_NETWORK = 'ip link set lo up && echo "33000 33100" > /proc/sys/net/ipv4/ip_local_port_range && exec "$0" "$@"'
RESTARTS_WITHOUT_A_PORT = f"""
import os, signal, socket, threading, time
from suptree.testing import LiveTree

taken, free = [], threading.Event()

def take():
    while not free.wait(0.001):
        try:
            while True:
                one = socket.socket()
                one.bind(("127.0.0.1", 0))
                one.listen()
                taken.append(one)
        except OSError:
            pass
    for one in taken:
        one.close()

with LiveTree('[agents.a]\\ntype = "process_wrapper"\\ncommand = "sleep"\\nargs = ["1000"]\\n') as tree:
    tree.wait_until_all_run({WITHIN})
    taking = threading.Thread(target=take)
    taking.start()
    while len(taken) < 80:
        time.sleep(0.01)
    os.kill(tree.agent("a")["pid"], signal.SIGKILL)
    tree.wait_until(lambda status: status["agents"][0]["incarnation"] == 2, {WITHIN})
    time.sleep(2)
    print(tree.agent("a")["status"], tree.agent("a")["incarnation"])
    free.set()
    taking.join()
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
