"""Agents of another user that ask for more than they may have: more time, more of our disk, more of the machine."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from suptree.actors.notify.notification import shared_socket
from suptree.control.client.client import Client
from suptree.testing import LiveTree
from tests.polling import poll_until

from .other_user import NOBODY, PYTHON, needs_root
from .test_descriptors_as_another_user import expect_a_verdict
from .test_notify_as_another_user import start

WITHIN = 60.0
pytestmark = needs_root

SAYS = """
import os, signal, socket, sys, time
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ["NOTIFY_SOCKET"])
assert os.getuid() != 0
"""
# It asks again in every second, and when it is asked to end.
FOR_EVER = """
def more(*_):
    notify.send(b"EXTEND_TIMEOUT_USEC=18446744073709551615")
for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, more)
if "ready" in sys.argv: notify.send(b"READY=1")
while True:
    more()
    time.sleep(0.5)
"""


def table(agent: str, program: str, more: str, *arguments: str, user: str = "nobody", restart: str = 'restart = "temporary"') -> str:
    return f"""
[agents.{agent}]
type = "process_wrapper"
command = "{PYTHON}"
args = {json.dumps(["-SE", "-c", SAYS + program, *arguments])}
cwd = "/tmp"
ready = "notify"
{restart}
user = "{user}"
{more}
"""


def test_no_agent_puts_off_its_end_for_longer_than_its_table_allows() -> None:
    short = "cancel = 0, sigint = 0, sigterm = 0.2"
    tables = (
        table("stops", FOR_EVER, f"stop = {{ {short}, extend_at_most = 1 }}", "ready"),
        table("hurries", FOR_EVER, f"stop = {{ {short} }}", "ready", user="daemon"),
        table("runs", FOR_EVER, f"limits = {{ max_runtime = 1 }}\nstop = {{ {short}, extend_at_most = 1 }}", "ready"),
        table(
            "starts",
            FOR_EVER,
            f"heartbeat = {{ startup_timeout = 1 }}\nstop = {{ {short}, extend_at_most = 1 }}",
            "never",
            restart="max_restarts = 0",
        ),
        table("brief", FOR_EVER, f"limits = {{ max_runtime = 1 }}\nstop = {{ {short}, extend_at_most = 0 }}", "ready", user="daemon"),
    )
    with LiveTree("".join(tables)) as tree:
        status = tree.wait_until(lambda s: all(row["last_exit"] for row in s["agents"] if row["id"] in ("runs", "starts", "brief")), WITHIN)
        ends = {row["id"]: row["last_exit"]["class"] for row in status["agents"] if row["last_exit"]}
        assert {"runs": "budget", "starts": "startup_timeout", "brief": "budget"} == ends
        begun = time.monotonic()
        tree.ask(lambda client: client.stop("stops"))
        assert 1.0 < time.monotonic() - begun < 30.0

        async def twice(client: Client) -> None:
            first = asyncio.ensure_future(client.stop("hurries"))
            # The supervisor has heard the first request when it stops.
            async with contextlib.aclosing(client.events()) as events:
                async for event in events:
                    if event["event"] == "agent_stopping" and event["id"] == "hurries":
                        break
            await client.stop("hurries")
            await first

        begun = time.monotonic()
        tree.ask(twice)
        assert time.monotonic() - begun < 30.0


FLOODS = """
notify.send(b"READY=1")
until = time.monotonic() + 5
number = 0
while time.monotonic() < until:
    number += 1
    notify.send(PREFIX + b"STATUS=%d " % number + b"x" * 3900)
notify.send(PREFIX + b"STATUS=the last")
time.sleep(1000)
"""


def test_no_agent_has_us_write_more_than_a_few_hundred_characters_a_second() -> None:
    prefixes = {"ready": b"READY=1\n", "stopping": b"STOPPING=1\n", "extends": b"EXTEND_TIMEOUT_USEC=1\n", "pings": b"WATCHDOG=1\n"}
    more = "stop = { cancel = 0, sigint = 0, sigterm = 100 }"
    tables = [table(name, FLOODS.replace("PREFIX", repr(prefix)), more) for name, prefix in prefixes.items()]
    changes = FLOODS.replace("PREFIX", 'b"WATCHDOG_USEC=%d\\n" % (100_000_000 + number)')
    with LiveTree("".join((*tables, table("changes", changes, more, user="daemon")))) as tree:
        names = {*prefixes, "changes"}

        async def all_of_them(client: Client) -> None:
            async with asyncio.timeout(WITHIN), contextlib.aclosing(client.events()) as events:
                async for event in events:
                    if event["event"] == "agent_status" and event["status"] == "the last":
                        names.discard(event["id"])
                    if not names:
                        return

        tree.ask(all_of_them)
        took = tree.status()["uptime"]
        said = [event for event in tree.events() if event["event"] == "agent_status"]
        of_each = [[event for event in said if event["id"] == name] for name in (*prefixes, "changes")]
        assert max(map(len, of_each)) <= 10 + took + 3
        # What was not written is counted.
        assert all(sum(event["skipped"] for event in events) > 100 for events in of_each)
        assert max(len(event["status"]) for event in said) <= 500
        state = Path(tree.launcher.paths.state)
        # SQLite's write-ahead log alone grows to 4 MiB before its pages are used again.
        assert sum(path.stat().st_size for path in state.glob("journal*")) < 6_000_000


# Each of its pings comes when it has been suspect for a moment.
PINGS_LATE = """
notify.send(b"READY=1\\nWATCHDOG_USEC=1000000")
for number in range(12):
    notify.send(b"STATUS=%d" % number)
for _ in range(10):
    time.sleep(0.85)
    notify.send(b"WATCHDOG=1")
notify.send(b"WATCHDOG_USEC=0\\nSTATUS=the last")
time.sleep(1000)
"""


def test_no_agent_has_us_write_without_end_that_it_is_suspect_and_no_longer() -> None:
    more = "stop = { cancel = 0, sigint = 0, sigterm = 100 }\nheartbeat = { interval = 0.5, suspect_after = 0.6, dead_after = 10 }"
    with LiveTree(table("late", PINGS_LATE, more)) as tree:

        def is_over(row: dict[str, Any]) -> bool:
            # On a busy machine one of its pings may come too late.
            return row["last_exit"] is not None or (row["detail"] == "the last" and not row["suspect"])

        tree.wait_until(lambda s: is_over(s["agents"][0]), WITHIN)
        suspects = [event["suspect"] for event in tree.events() if event["event"] == "agent_suspect"]
        assert len(suspects) <= 12
        # Each is another word than the one before.
        assert [number % 2 == 0 for number in range(len(suspects))] == suspects


# Twenty processes deep, so that it costs us twenty looks into /proc to find that none of them is an agent's.
FLOODS_FROM_THE_DEEP = """
import os, socket, sys, time
for _ in range(20):
    if os.fork():
        time.sleep(1000)
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
while True:
    try:
        notify.sendto(b"STATUS=x", sys.argv[1])
    except FileNotFoundError:
        sys.exit()
"""


@contextlib.contextmanager
def flooding(path: Path, senders: int) -> Iterator[None]:
    """Processes of the user of an agent, none of them the agent's, that send as fast as they can."""
    command = [PYTHON, "-SE", "-c", FLOODS_FROM_THE_DEEP, str(path)]
    user = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []}
    with contextlib.ExitStack() as started:
        for _ in range(senders):
            process = started.enter_context(subprocess.Popen(command, cwd="/", start_new_session=True, **user))  # type: ignore[call-overload]
            started.callback(os.killpg, process.pid, signal.SIGKILL)
        yield


def test_a_flood_from_processes_of_the_same_user_puts_off_no_verdict_for_long() -> None:
    table_of_it = table("flooded", 'notify.send(b"READY=1"); time.sleep(1000)', "stop = { cancel = 0, sigint = 0, sigterm = 0.2 }")
    with LiveTree(table_of_it) as tree:
        heartbeat = tree.wait_until_all_run(WITHIN)["pids"]["heartbeat"]
        with flooding(shared_socket(str(tree.launcher.paths.shared), NOBODY.pw_uid), 4):
            tree.wait_until(lambda s: s["refused_notifications"]["strangers"] > 100, WITHIN)
            began = time.monotonic()
            expect_a_verdict(tree)
            assert time.monotonic() - began < 20.0
            assert cpu_share(heartbeat, 2.0) < 0.6
        assert heartbeat == tree.status()["pids"]["heartbeat"]
        assert 1 == tree.agent("flooded")["incarnation"]


# A watchdog of another length in each second, and pings all the time: so the next look at the table is always due, and is always late.
HURRIES_US = """
notify.send(b"READY=1")
began, number = time.monotonic(), 0
while True:
    if time.monotonic() - began > number:
        number += 1
        notify.send(b"WATCHDOG_USEC=%d" % (50_000 + number % 2 * 1000))
    notify.send(b"WATCHDOG=1")
    time.sleep(0.005)
"""


def test_nor_do_agents_that_have_us_look_all_the_time_excuse_those_of_others() -> None:
    more = "stop = { cancel = 0, sigint = 0, sigterm = 0.2 }\nheartbeat = { interval = 0.01 }"
    tables = [table(name, HURRIES_US, more, restart="backoff = { base = 0.1, cap = 0.1 }") for name in ("one", "two")]
    with LiveTree("[supervisors.root]\nmax_restarts = 150\n" + "".join(tables)) as tree:
        heartbeat = tree.wait_until_all_run(WITHIN)["pids"]["heartbeat"]
        with flooding(shared_socket(str(tree.launcher.paths.shared), NOBODY.pw_uid), 4):
            tree.wait_until(lambda s: s["refused_notifications"]["strangers"] > 100, WITHIN)
            began = time.monotonic()
            hung = {"command": "sleep", "args": ["1000"], "watchdog": True, "heartbeat": {"interval": 1.0, "dead_after": 10.0}}
            start(tree, hung)
            tree.wait_until(
                lambda s: any((row["last_exit"] or {}).get("class") == "hung" for row in s["agents"] if row["id"] == "b"), WITHIN
            )
            assert time.monotonic() - began < 30.0
        assert heartbeat == tree.status()["pids"]["heartbeat"]


CHANGES_MODES = """
import contextlib
notify.send(b"READY=1")
while True:
    with contextlib.suppress(OSError):
        os.chmod(os.environ["NOTIFY_SOCKET"], 0o600)
"""


def test_a_user_who_changes_the_mode_of_its_notify_socket_all_the_time_costs_nothing_and_loses_nothing() -> None:
    with LiveTree(table("restless", CHANGES_MODES, "stop = { cancel = 0, sigint = 0, sigterm = 0.2 }")) as tree:
        heartbeat = tree.wait_until_all_run(WITHIN)["pids"]["heartbeat"]
        assert cpu_share(heartbeat, 2.0) < 0.1
        path = shared_socket(str(tree.launcher.paths.shared), NOBODY.pw_uid)
        path.unlink()
        poll_until(path.exists, 10.0)


def cpu_share(pid: int, seconds: float) -> float:
    """How much of one core a process takes."""
    process = psutil.Process(pid)
    before, began = sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    return (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
