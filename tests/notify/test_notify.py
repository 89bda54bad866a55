"""The notify socket of a real tree: programs that run under systemd run here unchanged."""

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from suptree.actors.notify.notification import NOTIFY_SOCKET
from suptree.actors.output.output_log import log_path
from suptree.testing import LiveTree, kill

PROGRAMS = Path(__file__).parents[1] / "programs"
NOTIFIES = [sys.executable, "-SE", str(PROGRAMS / "notifies.py")]
WITHIN = 60.0
Event = dict[str, Any]

needs_systemd_notify = pytest.mark.skipif(
    shutil.which("systemd-notify") is None, reason="systemd-notify is not installed (Debian: systemd)"
)


def table(agent: str, argv: list[str], more: str = "") -> str:
    return f"""
[agents.{agent}]
type = "process_wrapper"
command = {json.dumps(argv[0])}
args = {json.dumps(argv[1:])}
restart = "temporary"
ready = "notify"
stop = {{ cancel = 0, sigint = 0, sigterm = 1 }}
{more}
"""


def tree(*tables: str) -> LiveTree:
    return LiveTree('[tree]\nname = "notify"\n' + "".join(tables))


def reported(events: list[Event], agent: str) -> list[str]:
    """What was reported of an agent between its start and its end, each event by the word that it is known by, and what it said."""
    return [
        f"{event['event'].partition('_')[2]} {event.get('status') or event.get('why') or ''}".strip()
        for event in events
        if event["id"] == agent and event["event"] not in ("agent_starting", "agent_started", "agent_exited", "agent_decided")
    ]


def end_of(running: LiveTree, *agents: str) -> dict[str, dict[str, Any]]:
    status = running.wait_until(lambda s: all(row["last_exit"] for row in s["agents"] if row["id"] in agents), WITHIN)
    return {row["id"]: row["last_exit"] for row in status["agents"]}


@needs_systemd_notify
def test_systemd_notify_in_a_shell_script_is_heard_every_time() -> None:
    # It has ended a moment after it spoke; its BARRIER=1 keeps it there until we know whose child it is.
    script = "systemd-notify --ready --status='at work' && echo heard || echo unheard; exec sleep 1000000"
    names = [f"script{number}" for number in range(10)]
    with tree(*(table(name, ["/bin/sh", "-c", script]) for name in names)) as running:
        running.wait_until_all_run(WITHIN)
        running.wait_until(lambda s: all(row["detail"] == "at work" for row in s["agents"]), WITHIN)
        logs = [log_path(str(running.launcher.paths.state), name).read_text() for name in names]
        assert [True] * len(names) == [" out heard\n" in text for text in logs]
        assert {"strangers": 0, "malformed": 0} == running.status()["refused_notifications"]


@needs_systemd_notify
def test_the_whole_life_of_a_shell_script() -> None:
    script = (
        "systemd-notify --ready --status=one; systemd-notify WATCHDOG=1; systemd-notify --status=two; systemd-notify STOPPING=1; exit 3"
    )
    with tree(table("script", ["/bin/sh", "-c", script])) as running:
        end = end_of(running, "script")["script"]
        assert ("failed", "exit 3, after STOPPING=1") == (end["class"], end["reason"])
        assert ["status one", "ready", "status two", "stopping it said STOPPING=1"] == reported(running.events(), "script")


def test_a_program_with_the_sdnotify_package() -> None:
    program = (
        "import os, sdnotify, time; n = sdnotify.SystemdNotifier(); n.notify('READY=1'); n.notify('STATUS=at work')\n"
        "for _ in range(4): time.sleep(int(os.environ['WATCHDOG_USEC']) / 2e6); n.notify('WATCHDOG=1')\n"
        "n.notify('STOPPING=1')"
    )
    with tree(table("program", [sys.executable, "-c", program], "watchdog = true\nheartbeat = { dead_after = 10 }")) as running:
        end = end_of(running, "program")["program"]
        assert ("normal", "exit 0, after STOPPING=1") == (end["class"], end["reason"])
        assert ["ready", "status at work", "stopping it said STOPPING=1"] == reported(running.events(), "program")


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler (cc)")
def test_a_program_in_c(tmp_path: Path) -> None:
    program = tmp_path / "program"
    subprocess.run(["cc", "-o", program, PROGRAMS / "notify_in_c.c"], check=True, timeout=60)
    with tree(table("program", [str(program)], "watchdog = true\nheartbeat = { dead_after = 10 }")) as running:
        end = end_of(running, "program")["program"]
        assert ("failed", "exit 3, after STOPPING=1") == (end["class"], end["reason"])
        assert ["status at work", "ready", "stopping it said STOPPING=1"] == reported(running.events(), "program")


NOISE = 5.0  # seconds; less than from any of these times to the one that it would be without the word
HUNG = {
    "silent": (["READY=1"], "watchdog = true\nheartbeat = { dead_after = 2 }", "no ping from its program for 2.0 s"),
    "trigger": (["READY=1", "WATCHDOG=trigger"], "", "it said WATCHDOG=trigger"),
    "own-watchdog": (["READY=1\nWATCHDOG_USEC=700000"], "heartbeat = { interval = 0.5 }", "no ping from its program for 0.7 s"),
    "hasty-watchdog": (["READY=1\nWATCHDOG_USEC=1"], "heartbeat = { interval = 0.5 }", "no ping from its program for 0.5 s"),
    "longer-watchdog": (
        ["READY=1\nWATCHDOG_USEC=4000000"],
        "watchdog = true\nheartbeat = { dead_after = 2 }",
        "no ping from its program for 4.0 s",
    ),
    "stays": (["READY=1", "STOPPING=1"], "", "it said STOPPING=1, and did not end within 3 s"),
    "waited": (
        ["READY=1\nSTATUS=waiting for a person", "sleep:4", "STATUS=at work"],
        "watchdog = true\nheartbeat = { dead_after = 2 }",
        "no ping from its program for 2.0 s",
    ),
}
LIVES = {
    "waits": (["READY=1\nSTATUS=waiting for a person"], "watchdog = true\nheartbeat = { dead_after = 2 }"),
    "no-watchdog": (["READY=1\nWATCHDOG_USEC=0"], "watchdog = true\nheartbeat = { dead_after = 2 }"),
    # A ping of a program that need not ping obliges it to nothing.
    "pinged-once": (["READY=1", "WATCHDOG=1"], "heartbeat = { dead_after = 2 }\nwatchdog = false"),
    "slow-start": (["EXTEND_TIMEOUT_USEC=30000000", "sleep:5", "READY=1"], "heartbeat = { startup_timeout = 4 }\nwatchdog = false"),
    "runs-long": (["READY=1", "EXTEND_TIMEOUT_USEC=60000000"], "limits = { max_runtime = 1 }"),
    "stops-slowly": (["on-term:4", "READY=1"], ""),
}


def in_words(reason: str) -> tuple[str, float]:
    """A reason without its time, and that time in seconds."""
    seconds = re.search(r"for (\d+\.\d+) s", reason)
    return (reason, 0.0) if seconds is None else (reason.replace(seconds[1], "N"), float(seconds[1]))


def test_what_a_program_says_moves_its_deadlines() -> None:
    tables = [table(agent, [*NOTIFIES, *words], more) for agent, (words, more, _) in HUNG.items()]
    tables += [table(agent, [*NOTIFIES, *words], more) for agent, (words, more) in LIVES.items()]
    with tree(*tables) as running:
        ends = end_of(running, *HUNG)
        for agent, (_, _, reason) in HUNG.items():
            (expected, at_least), (said, took) = in_words(reason), in_words(ends[agent]["reason"])
            assert ("hung", expected) == (ends[agent]["class"], said), agent
            assert at_least <= took < at_least + NOISE, agent
        status = {row["id"]: row["status"] for row in running.status()["agents"]}
        assert dict.fromkeys(LIVES, "running") == {agent: status[agent] for agent in LIVES}
        # The ladder gives it one second for SIGTERM, and three until its supervisor kills it.
        running.ask(lambda client: client.stop("stops-slowly"))
        assert " out ended well\n" in log_path(str(running.launcher.paths.state), "stops-slowly").read_text()


def test_descriptors_that_come_with_a_datagram_are_closed() -> None:
    program = (
        "import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n"
        "for count in (1, 253):\n"
        "    read, write = os.pipe(); socket.send_fds(s, [b'FDSTORE=1\\nFDNAME=x'], [write] * count); os.close(write); os.read(read, 1)\n"
        "s.send(b'READY=1')\n"
        "import time; time.sleep(1000)"
    )
    with tree(table("giver", [sys.executable, "-c", program])) as running:
        # That it is ready at all says that every copy of the pipe's end was closed.
        status = running.wait_until_all_run(WITHIN)
        heartbeat = psutil.Process(status["pids"]["heartbeat"])
        assert heartbeat.num_fds() < 30
        assert {"strangers": 0, "malformed": 0} == status["refused_notifications"]


def test_strangers_and_nonsense_are_dropped_and_counted() -> None:
    program = (
        "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21); sent = 0\n"
        "for junk in (b'', b'junk', b'STATUS=\\xff', b'STATUS=' + b'x' * 4096, b'STATUS=' + b'x' * 100_000): sent += s.send(junk) >= 0\n"
        "try: s.send(b'STATUS=' + b'x' * 1_000_000)\n"
        "except OSError: pass\n"
        "s.send(b'READY=1'); time.sleep(1000)"
    )
    with tree(table("babbler", [sys.executable, "-c", program]), table("calm", [*NOTIFIES, "READY=1"])) as running:
        running.wait_until_all_run(WITHIN)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            stranger.connect(str(running.launcher.paths.runtime / NOTIFY_SOCKET))
            for said in (b"STOPPING=1", b"WATCHDOG=trigger", b"READY=1"):
                stranger.send(said)
        refused = running.wait_until(lambda s: s["refused_notifications"]["strangers"] > 0, WITHIN)["refused_notifications"]
        assert 3 == refused["strangers"]
        # A kernel may refuse to send a datagram of a megabyte at all.
        assert refused["malformed"] in (5, 6)
        assert [["ready"], ["ready"]] == [reported(running.events(), agent) for agent in ("babbler", "calm")]


def test_of_a_flood_of_statuses_the_last_one_arrives_and_few_others() -> None:
    program = (
        "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n"
        "s.send(b'READY=1')\n"
        "for number in range(20_000): s.send(b'STATUS=%d' % number)\n"
        "time.sleep(1000)"
    )
    with tree(table("chatty", [sys.executable, "-c", program])) as running:
        running.wait_until(lambda s: s["agents"][0]["detail"] == "19999", WITHIN)
        assert len(reported(running.events(), "chatty")) < 200


def test_programs_that_have_connected_once_are_heard_by_the_next_heartbeat_actor_too() -> None:
    program = [sys.executable, "-SE", str(PROGRAMS / "connects_once.py")]
    with tree(table("connected", program, "watchdog = true\nheartbeat = { dead_after = 3, suspect_after = 3 }")) as running:
        before = running.wait_until_all_run(WITHIN)
        kill(before["pids"]["heartbeat"])
        later = running.wait_until(lambda s: s["pids"].get("heartbeat") not in (None, before["pids"]["heartbeat"]), WITHIN)
        said = int(later["agents"][0]["detail"].split()[1])
        # Twice its limit.
        after = running.wait_until(lambda s: int(s["agents"][0]["detail"].split()[1]) > said + 30, WITHIN)
        assert 1 == after["agents"][0]["incarnation"]
        assert "connected" not in [event["id"] for event in running.events() if event["event"] in ("agent_suspect", "agent_exited")]
        assert {"strangers": 0, "malformed": 0} == after["refused_notifications"]
