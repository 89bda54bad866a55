"""A hundred thousand random datagrams at the notify socket of a real tree: nothing happens but that they are counted."""

import random
import socket
import time
from pathlib import Path

from suptree.actors.notify.notification import NOTIFY_SOCKET
from suptree.testing import LiveTree

DATAGRAMS = 100_000
SEED = 20_261_122
VALID = (
    *(b"READY=1", b"STATUS=waiting", b"WATCHDOG=1", b"WATCHDOG=trigger", b"WATCHDOG_USEC=1", b"STOPPING=1"),
    *(b"EXTEND_TIMEOUT_USEC=1", b"BARRIER=1", b"MAINPID=1", b"FDSTORE=1\nFDNAME=x", b"READY=1\nSTATUS=x\nMAINPID=1"),
)
TREE = """
[tree]
name = "fuzz"
""" + "".join(
    f"""
[agents.a{number}]
type = "process_wrapper"
command = "sh"
args = ["-c", "exec sleep 1000000"]
watchdog = {watchdog}
heartbeat = {{ dead_after = 3600 }}
"""
    for number, watchdog in enumerate(("true", "false", "false"))
)


def datagram(chance: random.Random) -> bytes:
    """Valid, nearly valid, or noise."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randbytes(chance.randrange(200))
    said = bytearray(b"\n".join(chance.choices(VALID, k=chance.randrange(1, 4))))
    if kind >= 2:
        for _ in range(chance.randrange(1, 5)):
            said[chance.randrange(len(said))] = chance.randrange(256)
    if kind == 3:
        del said[chance.randrange(len(said)) :]
    return bytes(said) * (100 if chance.random() < 0.01 else 1)


def send(path: Path, datagrams: int) -> None:
    chance = random.Random(SEED)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.settimeout(30)
        stranger.connect(str(path))
        for _ in range(datagrams):
            stranger.send(datagram(chance))


def test_random_datagrams_are_counted_and_nothing_else_happens() -> None:
    with LiveTree(TREE) as tree:
        before = tree.wait_until_all_run()
        events = len(tree.events())
        began = time.monotonic()
        send(tree.launcher.paths.runtime / NOTIFY_SOCKET, DATAGRAMS)
        after = tree.wait_until(lambda s: sum(s["refused_notifications"].values()) == DATAGRAMS, 60)
        took = time.monotonic() - began
        assert min(after["refused_notifications"].values()) > DATAGRAMS / 10
        assert [(row["id"], "running", row["pid"], None) for row in before["agents"]] == [
            (row["id"], row["status"], row["pid"], row["detail"]) for row in after["agents"]
        ]
        assert before["pids"] == after["pids"]
        # Reported at a bounded rate, however many there are.
        reported = tree.events()[events:]
        assert {"service_refused"} == {event["event"] for event in reported}
        assert len(reported) <= took / 5 + 2
