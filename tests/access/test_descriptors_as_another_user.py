"""Descriptors that an agent of another user sends along with what it says: nothing that such an agent sends blocks an actor of ours."""

import pytest

from suptree.actors.errors import StartFailed
from suptree.testing import LiveTree
from tests.polling import poll_until

from .other_user import PYTHON, needs_root
from .test_notify_as_another_user import WITHIN, pings, start, table

pytestmark = needs_root

# Closing the last copy of a descriptor that lingers waits until a receiver has read what was sent, and no receiver ever does.
ATTACK = """
import os, socket, struct, sys, threading, time
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ["NOTIFY_SOCKET"])
server = socket.create_server(("127.0.0.1", 0), backlog=4096)
server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
def lingering():
    connection = socket.create_connection(server.getsockname())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    connection.setblocking(False)
    try:
        while True:
            connection.send(bytes(1 << 20))
    except BlockingIOError:
        pass
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 2**31 - 1))
    return connection
def nested():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with lingering() as inner:
        socket.send_fds(one, [b"x"], [inner.fileno()])
    return other
make = {"lingering": lingering, "nested": nested}[sys.argv[1]]
notify.send(b"READY=1")
for number in range(int(sys.argv[2])):
    sent = [make() for _ in range(int(sys.argv[3]))]
    socket.send_fds(notify, [b"WATCHDOG=1\\nSTATUS=ping %d" % (number + 1)], [one.fileno() for one in sent])
    for one in sent:
        # Where the other copy has been closed already, it is this close that waits.
        threading.Thread(target=one.close, daemon=True).start()
time.sleep(1000)
"""
# Closing these never waits; but so many come that the thread which closes them cannot have closed them yet.
FLOOD = """
import os, socket, sys, time
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ["NOTIFY_SOCKET"])
notify.send(b"READY=1")
null, until = os.open("/dev/null", os.O_RDONLY), time.monotonic() + 3
while time.monotonic() < until:
    try:
        socket.send_fds(notify, [sys.argv[1].encode()], [null] * 253)
    except OSError:
        # The kernel lets a user have so many on their way.
        time.sleep(0.001)
notify.send(b"STATUS=ping 1")
time.sleep(1000)
"""
HUNG = "import time; time.sleep(1000)"


def attack(kind: str, datagrams: int, each: int) -> str:
    return table("a", [PYTHON, "-SE", "-c", ATTACK, kind, str(datagrams), str(each)], "nobody")


def expect_a_verdict(tree: LiveTree) -> None:
    """The heartbeat actor does its work: it finds an agent that never pings."""
    start(tree, {"command": PYTHON, "args": ["-c", HUNG], "watchdog": True, "heartbeat": {"interval": 0.2, "dead_after": 1.0}})
    tree.wait_until(lambda s: (s["agents"][1]["last_exit"] or {}).get("class") == "hung", WITHIN)


@pytest.mark.parametrize("kind", ["lingering", "nested"])
def test_descriptors_whose_close_waits_do_not_stop_the_heartbeat_actor(kind: str) -> None:
    with LiveTree(attack(kind, 3, 1)) as tree:
        tree.wait_until(lambda s: pings(s) == 3, WITHIN)
        # Agents of that user are heard as before.
        start(tree, {"command": "sh", "args": ["-c", "systemd-notify --ready; exec sleep 1000"], "user": "nobody"})
        tree.wait_until_all_run(WITHIN)
    with LiveTree(attack(kind, 3, 1)) as tree:
        tree.wait_until(lambda s: pings(s) == 3, WITHIN)
        expect_a_verdict(tree)


def test_a_user_who_sends_too_many_of_them_is_not_heard_any_more_and_everybody_else_is() -> None:
    # Where the sender closes its copy later than we do, it is the sender who waits: so there are many.
    with LiveTree(attack("lingering", 60, 30)) as tree:
        tree.wait_until(lambda s: s["agents"][0]["status"] == "running", WITHIN)
        log = tree.launcher.paths.state / "launcher.log"
        poll_until(lambda: "notify_socket_given_up" in log.read_text(), 2 * WITHIN, lambda: (tree.status(), log.read_text()))
        with pytest.raises(StartFailed, match="has sent descriptors to its notify socket that cannot be closed"):
            start(tree, {"command": "sleep", "args": ["1000"], "user": "nobody"})
        expect_a_verdict(tree)


@pytest.mark.parametrize("said", ["x", "WATCHDOG=1", "FDSTORE=1", "STATUS=x"])
def test_many_that_can_be_closed_do_no_harm_and_their_user_is_heard_as_before(said: str) -> None:
    with LiveTree(table("a", [PYTHON, "-SE", "-c", FLOOD, said], "nobody")) as tree:
        before = tree.wait_until_all_run(WITHIN)["pids"]["heartbeat"]
        tree.wait_until(lambda s: pings(s) == 1, WITHIN)
        start(tree, {"command": "sh", "args": ["-c", "systemd-notify --ready; exec sleep 1000"], "user": "nobody", "ready": "notify"})
        status = tree.wait_until_all_run(WITHIN)
        assert (before, 1) == (status["pids"]["heartbeat"], tree.agent("a")["incarnation"])
        assert "notify_socket_given_up" not in (tree.launcher.paths.state / "launcher.log").read_text()
