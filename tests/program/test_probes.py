"""Probes: what they leave behind goes with them, and the time in which the whole tree stood still is not counted against a program."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from suptree.testing import LiveTree
from tests.polling import poll_until

WITHIN = 30.0


def probed(script: str, more: str, command: tuple[str, ...] = ("sleep", "1000000")) -> str:
    return f"""
[agents.a]
type = "process_wrapper"
command = {json.dumps(command[0])}
args = {json.dumps(command[1:])}
restart = "temporary"
liveness_probe = {{ exec = {json.dumps(["sh", "-c", script])}, {more} }}
"""


def lines(file: Path) -> list[str]:
    return file.read_text().split("\n")[:-1] if file.exists() else []


def alive(pid: str) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    return False


WITHOUT_DESCRIPTORS = """
import asyncio, os, resource, sys
from suptree.actors.agent.confinement import Confinement
from suptree.actors.program.hooks import HookNotRun, Hooks
from suptree.actors.program.probes import ProbeFailed, ProbeNotMade, probe_until_unhealthy
from suptree.actors.spec.agent_spec import AgentSpec, ProbeSpec
from suptree.actors.state import AgentType

spec = AgentSpec(agent_id="a", agent_type=AgentType.PROCESS_WRAPPER, command="true")
held, made = [], []

async def run_program(argv, limit):
    hooks = Hooks(lambda: None, Confinement(spec, None, umask=0o022, nofile=None), print)
    made.append(argv)
    if len(made) == 3:
        while held:
            os.close(held.pop())
    try:
        await hooks.run(argv, cwd=None, environment={}, limit=limit)
    except HookNotRun:
        raise ProbeNotMade from None
    except Exception as failure:
        raise ProbeFailed(str(failure)) from None

async def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    while True:
        try:
            held.append(os.dup(0))
        except OSError:
            break
    print(await probe_until_unhealthy(ProbeSpec(exec=("false",), period=0.01, failure_threshold=2), run_program), len(made))

asyncio.run(main())
"""


def test_a_probe_for_which_no_descriptor_is_left_counts_neither_way(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DESCRIPTORS, str(tmp_path)], capture_output=True, text=True, timeout=WITHIN, check=False
    )
    assert ("liveness probe failed, 2 times in a row: 'false' ended with status 1 4\n", "") == (done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("leave", "ends"),
    [
        ("sleep 2001 & echo $! >> {noted}", "exit 0"),
        ("setsid sleep 2001 & echo $! >> {noted}", "exit 0"),
        # Cleans its environment, and stays in the session of the probe.
        ("env -i sleep 2001 & echo $! >> {noted}", "exit 0"),
        # Starts a child of its own, which the probe waits for.
        (
            "touch {noted}; before=$(wc -l < {noted}); (setsid sh -c 'sleep 2001 & echo $! >> {noted}; wait') &",
            "while [ $(wc -l < {noted}) = $before ]; do sleep 0.01; done",
        ),
        # A probe that takes too long.
        ("setsid sleep 2001 & echo $! >> {noted}", "sleep 2001"),
    ],
)
def test_what_a_probe_leaves_behind_is_gone_with_it(tmp_path: Path, leave: str, ends: str) -> None:
    noted = tmp_path / "noted"
    script = f"{leave}\n{ends}".format(noted=noted)
    timeout = 0.5 if ends == "sleep 2001" else 20
    with LiveTree(probed(script, f"period = 0.2, timeout = {timeout}, failure_threshold = 1000")) as running:
        poll_until(lambda: len(lines(noted)) >= 3, WITHIN, "three probes")
        # The program is left alone, with what it has started.
        assert "running" == running.agent("a")["status"]
        first = lines(noted)[:2]
        poll_until(lambda: not any(map(alive, first)), WITHIN, f"the end of {first}")


def test_what_the_program_itself_has_let_go_stays(tmp_path: Path) -> None:
    noted, probes = tmp_path / "noted", tmp_path / "probes"
    daemon = f"(setsid sleep 2002 & echo $! >> {noted}); exec sleep 1000000"
    table = probed(f"sleep 2001 & echo $! >> {probes}", "period = 0.2, timeout = 5", ("sh", "-c", daemon))
    with LiveTree(table):
        poll_until(lambda: len(lines(probes)) >= 3, WITHIN, "three probes")
        assert [True] == list(map(alive, lines(noted)))


def test_a_tree_that_stood_still_while_it_probed_does_not_end_the_program_for_it(tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    script = f"echo begun >> {begun}; sleep 0.5; echo ended >> {ended}"
    heartbeat = "heartbeat = { interval = 0.2, suspect_after = 60, dead_after = 60 }"
    with LiveTree(probed(script, "period = 0.1, timeout = 3, failure_threshold = 1") + heartbeat) as running:
        poll_until(lambda: len(lines(begun)) > len(lines(ended)), WITHIN, "a probe")
        before = len(lines(ended))
        everything = [process.pid for process in running.processes()]
        for pid in everything:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(4)
        for pid in everything:
            os.kill(pid, signal.SIGCONT)
        poll_until(lambda: len(lines(ended)) >= before + 2, WITHIN, "two more probes")
        agent = running.agent("a")
        assert ("running", 1, None) == (agent["status"], agent["incarnation"], agent["last_exit"])
