"""Nobody is restarted for a ping that a busy machine delayed.

The whole of it takes seven minutes, and is run by hand: `python -m tests.heartbeat.test_no_false_alarm`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from suptree.testing import LiveTree

AGENTS = str(Path(__file__).parents[1] / "agents")
SPREAD = 50
"""Agents below one supervisor."""


KINDS = (
    'type = "process_wrapper"\ncommand = "sleep"\nargs = ["1000000"]',
    'type = "native_llm"\nfactory = "asked_agents:Asked"',
)


def tree(agents: int) -> str:
    """As many of either kind."""
    text = '[tree]\nname = "busy"\n'
    for number in range(agents):
        if number % SPREAD == 0:
            text += f"[supervisors.s{number // SPREAD}]\n"
        text += f"""
[agents.a{number}]
{KINDS[number % 2]}
supervisor = "s{number // SPREAD}"
heartbeat = {{ interval = 1, dead_after = 5 }}
"""
    return text


@contextlib.contextmanager
def all_cores_busy() -> Iterator[None]:
    """Two programs for each core that do nothing but use it."""
    busy = [subprocess.Popen([sys.executable, "-SEc", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def restarts_when_busy(agents: int, seconds: float, *, stopped: float) -> tuple[int, int]:
    """How many agents were restarted, and how many were suspect, while all cores were busy; the heartbeat actor stands still meanwhile."""
    with LiveTree(tree(agents), sys_path=[AGENTS]) as running:
        before = running.wait_until_all_run(60)
        known = len(running.events())
        with all_cores_busy():
            time.sleep(max(0.0, seconds - stopped) / 2)
            if stopped:
                os.kill(before["pids"]["heartbeat"], signal.SIGSTOP)
                time.sleep(stopped)
                os.kill(before["pids"]["heartbeat"], signal.SIGCONT)
            time.sleep(max(0.0, seconds - stopped) / 2)
            after = running.wait_until(lambda s: bool(s["agents"]), 60)
        events = running.events()[known:]
        # The heartbeat actor itself is suspect when it stands still for so long.
        reported = [event for event in events if event["event"] not in ("agent_suspect", "service_refused", "service_suspect")]
        assert [] == reported
        ages = [row["last_ping_age"] for row in after["agents"]]
        assert all(age is not None and age < 5 for age in ages), ages
        assert {"strangers": 0, "malformed": 0} == after["refused_notifications"]
        changed = sum(row["incarnation"] != 1 or row["status"] != "running" for row in after["agents"])
        return changed, sum(event["event"] == "agent_suspect" and event["suspect"] for event in events)


def test_a_busy_machine_restarts_nobody() -> None:
    assert 0 == restarts_when_busy(20, 10, stopped=0)[0]


def test_a_heartbeat_actor_that_stood_still_restarts_nobody() -> None:
    assert 0 == restarts_when_busy(20, 12, stopped=8)[0]


if __name__ == "__main__":
    for standstill in (0, 10):
        restarted, suspect = restarts_when_busy(200, 180, stopped=standstill)
        print(f"200 agents, all cores busy for 180 s, heartbeat actor stopped for {standstill} s: {restarted} restarted, {suspect} suspect")
        assert 0 == restarted
