"""Liveness in a real tree: probes from outside, health checks from inside, and progress."""

import json
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from suptree.testing import LiveTree

PROGRAMS = Path(__file__).parents[1] / "programs"
AGENTS = str(Path(__file__).parents[1] / "agents")
WITHIN = 60.0


def reserve_port(keep: ExitStack) -> int:
    """A port that nobody else is given meanwhile; a program may still listen there."""
    reserved = keep.enter_context(socket.socket())
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    port: int = reserved.getsockname()[1]
    return port


def program(agent: str, argv: list[str], more: str) -> str:
    return f"""
[agents.{agent}]
type = "process_wrapper"
command = {json.dumps(argv[0])}
args = {json.dumps(argv[1:])}
restart = "temporary"
stop = {{ cancel = 0, sigint = 0, sigterm = 0.5 }}
{more}
"""


def native(agent: str, factory: str, more: str = "heartbeat = { interval = 0.2, dead_after = 3 }") -> str:
    return f'[agents.{agent}]\ntype = "native_llm"\nfactory = "health_agents:{factory}"\nrestart = "temporary"\n{more}\n'


def tree(*tables: str) -> LiveTree:
    return LiveTree('[tree]\nname = "liveness"\n' + "".join(tables), sys_path=[AGENTS])


def serving(agent: str, port: int, *answers: str, more: str = "") -> str:
    argv = [sys.executable, "-SE", str(PROGRAMS / "serves_http.py"), str(port), *answers]
    url = f"http://127.0.0.1:{port}/healthz?deep=1"
    return program(agent, argv, f'liveness_probe = {{ http_get = "{url}", period = 0.3, initial_delay = 1, timeout = 0.5{more} }}')


def asking(agent: str, script: str, more: str = "") -> str:
    probe = json.dumps(["sh", "-c", script])
    return program(agent, ["sleep", "1000000"], f"liveness_probe = {{ exec = {probe}, period = 0.3, timeout = 0.5{more} }}")


def test_probes() -> None:
    with ExitStack() as reserved:
        run_probes([reserve_port(reserved) for _ in range(7)])


def run_probes(ports: list[int]) -> None:
    closed = f'liveness_probe = {{ tcp_socket = "127.0.0.1:{ports[5]}", period = 0.2, failure_threshold = 2 }}'
    well = {
        "http": serving("http", ports[0], "200", "500", "500", "302", "500", "500", "204"),
        "exec": asking("exec", "exit 0"),
        # The probe runs with what the agent has in its environment.
        "env": asking("env", '[ "$SUPTREE_AGENT_ID" = env ]'),
        "tcp": program(
            "tcp",
            [sys.executable, "-SE", str(PROGRAMS / "serves_http.py"), str(ports[1]), "200"],
            f'liveness_probe = {{ tcp_socket = "localhost:{ports[1]}", period = 0.3, initial_delay = 1 }}',
        ),
        "later": asking("later", "exit 1", ", initial_delay = 1000"),
    }
    unwell = {
        "http-500": (
            serving("http-500", ports[2], "200", "500"),
            f"liveness probe failed, 3 times in a row: http://127.0.0.1:{ports[2]}/healthz?deep=1 answered 500",
        ),
        "http-silent": (
            serving("http-silent", ports[3], "200", "silence", more=", failure_threshold = 1"),
            f"liveness probe failed: http://127.0.0.1:{ports[3]}/healthz?deep=1 did not answer within 0.5 s",
        ),
        "http-garbage": (
            serving("http-garbage", ports[4], "garbage"),
            f"liveness probe failed, 3 times in a row: http://127.0.0.1:{ports[4]}/healthz?deep=1 did not answer in HTTP",
        ),
        "http-status-without-end": (
            serving("http-status-without-end", ports[6], "200" * 2000),
            f"liveness probe failed, 3 times in a row: http://127.0.0.1:{ports[6]}/healthz?deep=1 did not answer in HTTP",
        ),
        "tcp-closed": (
            program("tcp-closed", ["sleep", "1000000"], closed),
            f"liveness probe failed, 2 times in a row: 127.0.0.1:{ports[5]} cannot be reached",
        ),
        "exec-1": (
            asking("exec-1", "echo no database; exit 1"),
            "liveness probe failed, 3 times in a row: 'sh' ended with status 1 (no database)",
        ),
        "exec-slow": (
            asking("exec-slow", "sleep 1000", ", failure_threshold = 1"),
            "liveness probe failed: 'sh' took longer than 0.5 s",
        ),
    }
    with tree(*well.values(), *(table for table, _ in unwell.values())) as running:
        status = running.wait_until(lambda s: all(row["last_exit"] for row in s["agents"] if row["id"] in unwell), WITHIN)
        exits = {row["id"]: row["last_exit"] for row in status["agents"]}
        assert {agent: ("unhealthy", reason) for agent, (_, reason) in unwell.items()} == {
            agent: (exits[agent]["class"], exits[agent]["reason"][: len(reason)]) for agent, (_, reason) in unwell.items()
        }
        assert dict.fromkeys(well, "running") == {row["id"]: row["status"] for row in status["agents"] if row["id"] in well}


def test_a_program_that_ends_while_it_is_probed_takes_the_probe_along() -> None:
    table = program("short", ["sleep", "1"], 'liveness_probe = { exec = ["sleep", "1000"], timeout = 1000 }')
    with tree(table) as running:
        end = running.wait_until(lambda s: s["agents"][0]["last_exit"], WITHIN)["agents"][0]["last_exit"]
        assert ("normal", "exit 0") == (end["class"], end["reason"])


def test_health_checks_of_native_agents() -> None:
    well = ("Well", "Unasked")
    unwell = {
        "Unwell": "health_check() returned False",
        "Raises": "health_check() raised ConnectionError: no model server",
        "Leaves": "health_check() raised SystemExit: 0",
        "Hangs": "health_check() took longer than 2.8 s",
    }
    with tree(*(native(factory, factory) for factory in (*well, *unwell))) as running:
        status = running.wait_until(lambda s: all(row["last_exit"] for row in s["agents"] if row["id"] in unwell), WITHIN)
        exits = {row["id"]: row["last_exit"] for row in status["agents"]}
        assert {agent: ("unhealthy", reason) for agent, reason in unwell.items()} == {
            agent: (exits[agent]["class"], exits[agent]["reason"]) for agent in unwell
        }
        assert dict.fromkeys(well, "running") == {row["id"]: row["status"] for row in status["agents"] if row["id"] in well}


NOTIFIES = [sys.executable, "-SE", str(PROGRAMS / "notifies.py")]
STATUS = [word for number in range(8) for word in (f"STATUS={number}", "sleep:0.5")]
BUSY = "i=0; while [ $i -lt 100000000 ]; do i=$((i+1)); done"


def test_progress() -> None:
    restart = "progress = { warn_after = 2, restart_after = 4 }"
    stuck = {
        "silent": program("silent", ["sleep", "1000000"], restart),
        "silent-later": program("silent-later", ["sh", "-c", "echo begun; exec sleep 1000000"], restart),
        "waited": program("waited", [*NOTIFIES, "STATUS=waiting", "sleep:5", "STATUS=at work"], restart),
        "native": native("native", "Unasked", restart),
    }
    moving = {
        "talks": program("talks", ["sh", "-c", "while :; do echo x; sleep 0.3; done"], restart),
        "says": program("says", [*NOTIFIES, *STATUS * 10], restart),
        "works": program("works", ["sh", "-c", f"({BUSY}) & wait"], restart),
        "waits": program("waits", [*NOTIFIES, "STATUS=waiting for a person"], restart),
        "native-waits": native("native-waits", "Waits", restart),
    }
    warned = program("warned", ["sh", "-c", "sleep 2; echo x; exec sleep 1000000"], "progress = { warn_after = 1 }")
    with tree(*stuck.values(), *moving.values(), warned) as running:
        status = running.wait_until(lambda s: all(row["last_exit"] for row in s["agents"] if row["id"] in stuck), WITHIN)
        exits = {row["id"]: row["last_exit"] for row in status["agents"]}
        assert dict.fromkeys(stuck, ("hung", "no progress for ")) == {
            agent: (exits[agent]["class"], exits[agent]["reason"][:16]) for agent in stuck
        }
        assert {} == {row["id"]: row["last_exit"] for row in status["agents"] if row["id"] in moving and row["last_exit"]}
        assert dict.fromkeys(moving, "running") == {row["id"]: row["status"] for row in status["agents"] if row["id"] in moving}
        running.wait_until(
            lambda s: any((row["detail"] or "")[:25] == "stalled: no progress for " for row in s["agents"] if row["id"] == "warned")
        )
        stalled = [bool(event["seconds"]) for event in running.events() if event["event"] == "agent_stalled" and event["id"] == "warned"]
        assert [True, False, True] == stalled[:3]
        assert "running" == running.agent("warned")["status"]
