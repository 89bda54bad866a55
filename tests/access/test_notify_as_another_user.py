"""The notify socket of agents that run as another user: they are heard there, and nobody else is."""

import json
import pwd
import shutil
import socket
import stat
import struct
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.errors import StartFailed
from suptree.actors.notify.notification import NOTIFY_SOCKET, shared_socket
from suptree.supervisors.config.child_from_config import agent_child_from_config
from suptree.testing import LiveTree, kill

from .other_user import NOBODY, PYTHON, as_nobody, needs_root

WITHIN = 30.0
pytestmark = needs_root

PINGS = """
import os, socket, sys, time
def say(text):
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
say(f"READY=1\\nSTATUS=ready as {os.getuid()}")
for number in range(100000):
    time.sleep(0.1)
    try:
        say("WATCHDOG=1")
    except OSError:
        continue
    if number % 10 == 0: say(f"STATUS=ping {number} as {os.getuid()}")
"""
PROGRAM = [PYTHON, "-SE", "-c", PINGS]
# Its file may not be theirs to read.
CONNECTS_ONCE = (Path(__file__).parents[1] / "programs" / "connects_once.py").read_text()


def table(agent: str, argv: list[str], user: str, more: str = "") -> str:
    return f"""
[agents.{agent}]
type = "process_wrapper"
command = {json.dumps(argv[0])}
args = {json.dumps(argv[1:])}
cwd = "/tmp"
ready = "notify"
user = "{user}"
stop = {{ cancel = 0, sigint = 0, sigterm = 0.5 }}
{more}
"""


def start(tree: LiveTree, config: dict[str, Any]) -> None:
    tree.ask(lambda client: client.start_new(agent_child_from_config("b", "process_wrapper", {"cwd": "/tmp", **config}, "/tmp")))


def refused(tree: LiveTree) -> dict[str, int]:
    found: dict[str, int] = tree.status()["refused_notifications"]
    return found


def send(path: Path, *words: bytes) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for said in words:
            stranger.sendto(said, str(path))
    return "sent"


@pytest.mark.skipif(shutil.which("systemd-notify") is None, reason="systemd-notify is not installed (Debian: systemd)")
def test_a_program_of_another_user_notifies_as_under_systemd() -> None:
    script = 'systemd-notify --ready --status="as $(id -u)" && exec sleep 1000'
    with LiveTree(table("a", ["sh", "-c", script], "nobody")) as tree:
        status = tree.wait_until(lambda s: s["agents"][0]["status"] == "running", WITHIN)
        assert f"as {NOBODY.pw_uid}" == status["agents"][0]["detail"]


def test_each_user_has_a_socket_of_its_own_and_nobody_else_may_send_there() -> None:
    watched = "watchdog = true\nheartbeat = { interval = 0.2, dead_after = 5 }"
    with LiveTree(table("a", PROGRAM, "nobody", watched) + table("b", PROGRAM, "daemon", watched)) as tree:
        tree.wait_until_all_run(WITHIN)
        shared, own = tree.launcher.paths.shared, tree.launcher.paths.runtime / NOTIFY_SOCKET
        sockets = {user: shared_socket(str(shared), pwd.getpwnam(user).pw_uid) for user in ("nobody", "daemon")}
        assert {*sockets.values()} == {*shared.iterdir()}
        assert dict.fromkeys(sockets, 0o600) == {user: stat.S_IMODE(path.stat().st_mode) for user, path in sockets.items()}
        assert (0o711, 0o711) == tuple(stat.S_IMODE(path.stat().st_mode) for path in (shared, shared.parent))
        words = (b"WATCHDOG=trigger", b"STOPPING=1", b"WATCHDOG_USEC=1")
        assert "PermissionError" == as_nobody(lambda: send(own, *words))
        assert "PermissionError" == as_nobody(lambda: send(sockets["daemon"], *words))
        # Its name cannot be listed, nor one of ours be put there.
        assert "PermissionError" == as_nobody(lambda: list(map(str, shared.iterdir())))
        assert "PermissionError" == as_nobody(sockets["daemon"].unlink)
        assert 0 == refused(tree)["strangers"]
        # The same user may send, but is no process of that agent.
        before = [row["pid"] for row in tree.status()["agents"]]
        assert "sent" == as_nobody(lambda: send(sockets["nobody"], *words))
        tree.wait_until(lambda s: s["refused_notifications"]["strangers"] == 3, WITHIN)
        assert before == [row["pid"] for row in tree.status()["agents"]]
        assert [] == [event for event in tree.events() if event["event"] == "agent_stopping"]
    assert not shared.exists()


def send_in_the_name_of(pid: int, path: Path, said: bytes) -> None:
    """As the kernel delivers what a process said that has ended since, and whose number is that of another now: root may say so."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(path))
        sender.sendmsg([said], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("3i", pid, NOBODY.pw_uid, NOBODY.pw_gid))])


def test_at_the_socket_of_a_user_nothing_is_said_for_the_agents_of_others_whose_pid_the_sender_had() -> None:
    own = table("ours", ["sleep", "1000"], "root").replace("ready", "#").replace("user =", "#")
    with LiveTree(table("a", PROGRAM, "nobody") + table("b", PROGRAM, "daemon") + own) as tree:
        tree.wait_until_all_run(WITHIN)
        path = shared_socket(str(tree.launcher.paths.shared), NOBODY.pw_uid)
        before = {row["id"]: row["pid"] for row in tree.status()["agents"]}
        for pid in (before["b"], before["ours"], *(row["actor_pid"] for row in tree.status()["agents"] if row["id"] != "a")):
            send_in_the_name_of(pid, path, b"WATCHDOG=trigger")
        # Of the user's own agent it is heard, after all of those.
        send_in_the_name_of(before["a"], path, b"WATCHDOG=trigger")
        tree.wait_until(lambda s: next(row for row in s["agents"] if row["id"] == "a")["incarnation"] == 2, WITHIN)
        assert ["a"] == [event["id"] for event in tree.events() if event["event"] == "agent_stopping"]
        assert [before["b"], before["ours"]] == [row["pid"] for row in tree.status()["agents"] if row["id"] != "a"]


def pings(status: dict[str, Any]) -> int:
    """The number in the last `STATUS=` that was heard."""
    words = (status["agents"][0]["detail"] or "").split()
    return int(words[1]) if words[:1] == ["ping"] else 0


def test_a_new_heartbeat_actor_hears_other_users_too() -> None:
    watched = "watchdog = true\nheartbeat = { interval = 0.2, dead_after = 5 }"
    with LiveTree(table("a", PROGRAM, "nobody", watched)) as tree:
        first = tree.wait_until(lambda s: pings(s) > 0, WITHIN)
        kill(first["pids"]["heartbeat"])
        tree.wait_until(lambda s: pings(s) > pings(first) + 20 and s["pids"]["heartbeat"] != first["pids"]["heartbeat"], WITHIN)
        assert 1 == tree.agent("a")["incarnation"]


def test_programs_that_have_connected_once_are_heard_by_every_later_heartbeat_actor_too() -> None:
    watched = "watchdog = true\nheartbeat = { dead_after = 3, suspect_after = 3 }"
    with LiveTree(table("a", [PYTHON, "-SE", "-c", CONNECTS_ONCE], "nobody", watched)) as tree:
        status = tree.wait_until(lambda s: pings(s) > 0, WITHIN)
        for _ in range(2):
            killed, said = status["pids"]["heartbeat"], pings(status)
            kill(killed)
            # For longer than its limit.
            status = tree.wait_until(lambda s: pings(s) > said + 20 and s["pids"].get("heartbeat") not in (None, killed), WITHIN)  # noqa: B023
        assert 1 == tree.agent("a")["incarnation"]
        assert [] == [event for event in tree.events() if event["event"] == "agent_suspect"]
        # One of a user that comes later, at the third heartbeat actor.
        start(tree, {"command": PYTHON, "args": ["-SE", "-c", CONNECTS_ONCE], "user": "daemon", "ready": "notify"})
        tree.wait_until_all_run(WITHIN)
        assert {"strangers": 0, "malformed": 0} == refused(tree)


def test_without_a_place_for_its_socket_it_is_refused() -> None:
    with LiveTree(table("a", ["sleep", "1000"], "nobody").replace("ready", "#")) as tree:
        tree.wait_until_all_run(WITHIN)
        shared = tree.launcher.paths.shared
        shutil.rmtree(shared)
        shared.touch()
        try:
            with pytest.raises(StartFailed, match=f"its notify socket cannot be made in {shared}: Not a directory"):
                start(tree, {"command": "sleep", "args": ["1000"], "user": "daemon"})
        finally:
            shared.unlink()
