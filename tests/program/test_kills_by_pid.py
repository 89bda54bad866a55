"""Who gets the SIGKILL that is for a hook which took too long, or for what somebody left behind: never who has its pid by then."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator

import psutil
import pytest

from suptree.actors.kernel.sweep import end_child
from suptree.actors.program import hooks
from suptree.control.trees import leftovers
from suptree.control.trees.standing import RUN_VARIABLE
from tests.polling import poll_until


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    """A process that is no child of ours: its starter has ended."""
    starter = subprocess.run(
        ["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"], stdout=subprocess.PIPE, check=True, stderr=subprocess.DEVNULL
    )
    stranger = psutil.Process(int(starter.stdout))
    yield stranger
    stranger.kill()


def test_a_process_that_has_the_pid_of_a_hook_which_is_reaped_is_left_alone(stranger: psutil.Process) -> None:
    pidfd = os.pidfd_open(stranger.pid)
    assert hooks._kill(stranger.pid)
    assert ([], [], []) == select.select([pidfd], [], [], 0.5)
    os.close(pidfd)


def test_a_hook_and_its_group_get_it() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 1000 & echo $!; wait"], start_new_session=True, stdout=subprocess.PIPE) as hook:
        assert hook.stdout is not None
        below = psutil.Process(int(hook.stdout.readline()))
        assert hooks._kill(hook.pid)
        assert -signal.SIGKILL == hook.wait(10)
        below.wait(10)


def test_one_that_has_ended_and_is_not_reaped_keeps_its_pid_and_its_group_gets_it() -> None:
    hook = subprocess.Popen(["sh", "-c", "sleep 1000 >/dev/null & echo $!"], start_new_session=True, stdout=subprocess.PIPE)
    assert hook.stdout is not None
    below = psutil.Process(int(hook.stdout.read()))
    os.waitid(os.P_PID, hook.pid, os.WEXITED | os.WNOWAIT)
    assert hooks._kill(hook.pid)
    below.wait(10)
    assert 0 == hook.wait(10)
    hook.stdout.close()


def test_what_a_sweep_is_to_end_is_left_alone_when_it_is_no_child_any_more(stranger: psutil.Process) -> None:
    pidfd = os.pidfd_open(stranger.pid)
    asyncio.run(asyncio.wait_for(end_child(stranger.pid), 10))
    assert ([], [], []) == select.select([pidfd], [], [], 0.5)
    os.close(pidfd)


def test_a_child_is_ended_and_reaped() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    asyncio.run(asyncio.wait_for(end_child(child.pid), 10))
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)
    child.wait()


def test_one_that_ends_after_its_token_was_read_is_held_and_nobody_else_is_killed(
    stranger: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = subprocess.Popen(["sleep", "1000"])
    hold, pidfd = os.pidfd_open, os.pidfd_open(stranger.pid)

    def read(pid: int, _name: str, _value: str) -> bool:
        if pid != carrier.pid or carrier.poll() is not None:
            return False
        carrier.kill()
        carrier.wait()
        # From now on its pid is that of the stranger.
        monkeypatch.setattr(os, "pidfd_open", lambda other: hold(stranger.pid if other == carrier.pid else other))
        return True

    monkeypatch.setattr(leftovers, "carries", read)
    assert [] == leftovers.end("run")
    assert ([], [], []) == select.select([pidfd], [], [], 0.5)
    os.close(pidfd)


def test_each_process_that_carries_the_token_is_ended_also_one_that_comes_up_meanwhile() -> None:
    run_id = uuid.uuid4().hex
    forks = "trap '' TERM; while :; do sleep 1000 & sleep 0.001; done"
    carrier = subprocess.Popen(["sh", "-c", forks], env={**os.environ, RUN_VARIABLE: run_id})
    try:
        # Some of them sleep for a moment only.
        poll_until(lambda: len(leftovers.processes_of(run_id)) > 8, 10)
        ended = leftovers.end(run_id)
        assert carrier.pid in ended
        assert len(ended) > 3
        assert [] == leftovers.processes_of(run_id)
    finally:
        carrier.kill()
        carrier.wait()


def test_one_that_executes_one_program_after_the_other_is_ended_too() -> None:
    again = "import os, sys\nos.execv(sys.executable, [sys.executable, '-ISEc', sys.argv[1], sys.argv[1]])"
    for _ in range(20):
        run_id = uuid.uuid4().hex
        carrier = subprocess.Popen([sys.executable, "-ISEc", again, again], env={RUN_VARIABLE: run_id})
        assert [carrier.pid] == leftovers.end(run_id)
        assert -signal.SIGKILL == carrier.wait(10)
