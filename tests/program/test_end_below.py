"""What is below a process that was killed and does not die: all of it is killed, and nobody else."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from suptree.actors.kernel.end_below import EndBelow
from suptree.actors.kernel.kill_below import kill_below
from tests.polling import poll_until

DEEP = 60
"""As many generations; with one every 0.2 s it took 12 s."""
CHAIN = f"""
import ctypes, os, signal, time
ctypes.CDLL(None).prctl(36, 1)  # A subreaper, as an actor is.
for generation in range({DEEP}):
    if os.fork():
        break
else:
    print("deep", flush=True)
signal.pause()
"""


@pytest.fixture
def head() -> Iterator[subprocess.Popen[bytes]]:
    """A process, never killed here, that stands for one that does not die; below it a chain of others."""
    with subprocess.Popen([sys.executable, "-SEc", CHAIN], stdout=subprocess.PIPE) as chain:
        assert chain.stdout is not None
        assert b"deep\n" == chain.stdout.readline()
        yield chain
        for process in [psutil.Process(chain.pid), *psutil.Process(chain.pid).children(recursive=True)]:
            process.kill()


def living_below(pid: int) -> list[psutil.Process]:
    return [process for process in psutil.Process(pid).children(recursive=True) if process.status() != psutil.STATUS_ZOMBIE]


def test_a_long_chain_is_ended_and_its_head_is_not(head: subprocess.Popen[bytes]) -> None:
    pidfd = os.pidfd_open(head.pid)
    assert DEEP == len(living_below(head.pid))

    async def end_it() -> float:
        """Polls, for no event says when all is gone."""
        loop = asyncio.get_running_loop()
        firsts: list[float] = []
        below = EndBelow(loop, head.pid, pidfd, lambda: firsts.append(loop.time()))
        while living_below(head.pid):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        below.cancel()
        times = len(firsts)
        await asyncio.sleep(0.5)
        assert times == len(firsts)
        return firsts[-1] - firsts[0]

    assert asyncio.run(asyncio.wait_for(end_it(), 60)) < DEEP * 0.2 / 2
    assert head.poll() is None
    os.close(pidfd)


def test_of_a_process_that_has_ended_no_child_is_looked_for(head: subprocess.Popen[bytes]) -> None:
    # Its pid is another's by then, here that of the head.
    ended = subprocess.Popen(["true"])
    pidfd = os.pidfd_open(ended.pid)
    ended.wait()
    assert not asyncio.run(kill_below(head.pid, pidfd))
    assert DEEP == len(living_below(head.pid))
    os.close(pidfd)


def test_a_child_that_has_ended_and_is_not_reaped_does_not_count_as_living() -> None:
    with subprocess.Popen([sys.executable, "-SEc", "import os, signal\nif os.fork(): signal.pause()"]) as parent:
        poll_until(lambda: [psutil.STATUS_ZOMBIE] == [child.status() for child in psutil.Process(parent.pid).children()], 10)
        pidfd = os.pidfd_open(parent.pid)
        assert not asyncio.run(kill_below(parent.pid, pidfd))
        assert ([], [], []) == select.select([pidfd], [], [], 0)
        os.close(pidfd)
        parent.send_signal(signal.SIGKILL)
