"""Whether a process carries the token of a hook: also while it executes one program after the other."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from suptree.actors.kernel.process_texts import carries, variable
from tests.polling import poll_until

WITHIN = 20.0
EXECUTES_ITSELF = "import os, sys\nos.execv(sys.executable, [sys.executable, '-ISEc', sys.argv[1], sys.argv[1]])"


def test_it_carries_its_token_or_nothing_can_be_said_while_it_executes_a_program() -> None:
    again = [sys.executable, "-ISEc", EXECUTES_ITSELF, EXECUTES_ITSELF]
    with subprocess.Popen(again, env={"BEFORE": "1", "TOKEN": "a", "AFTER": "1"}) as process:
        said = Counter(carries(process.pid, "TOKEN", "a") for _ in range(100_000))
        process.kill()
    assert {True} == said.keys() - {None}
    assert said[True] > said[None]


# The first thread ends without the process, as pthread_exit(3) has it in main().
WITHOUT_FIRST_THREAD = """
import ctypes, os, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
ctypes.CDLL(None).syscall(ctypes.c_long(SYS_EXIT), 0)
""".replace("SYS_EXIT", "93" if os.uname().machine in ("aarch64", "riscv64") else "60")


@pytest.mark.parametrize(("environment", "carried"), [({"TOKEN": "a"}, True), ({"OTHER": "a"}, False), ({}, False)])
def test_a_process_whose_first_thread_has_ended_carries_what_it_carried(environment: dict[str, str], carried: bool) -> None:
    with subprocess.Popen([sys.executable, "-ISEc", WITHOUT_FIRST_THREAD], env=environment) as process:
        try:
            poll_until(lambda: b") Z " in Path(f"/proc/{process.pid}/stat").read_bytes(), WITHIN)
            found = (carries(process.pid, "TOKEN", "a"), variable(process.pid, "TOKEN"))
        finally:
            process.kill()
    assert (carried, b"a" if carried else None) == found


def test_a_process_that_has_ended_carries_nothing() -> None:
    with subprocess.Popen(["/bin/true"], env={"TOKEN": "a"}) as process:
        poll_until(lambda: b") Z " in Path(f"/proc/{process.pid}/stat").read_bytes(), WITHIN)
        with pytest.raises(OSError, match="No such"):
            carries(process.pid, "TOKEN", "a")


@pytest.mark.parametrize(
    ("environment", "carried"),
    [
        ({"TOKEN": "a"}, True),
        ({"TOKEN": "ab"}, False),
        ({"TOKEN": ""}, False),
        ({"MY_TOKEN": "a"}, False),
        ({"OTHER": "TOKEN=a"}, False),
        ({}, False),
    ],
)
def test_only_the_whole_variable_counts(environment: dict[str, str], carried: bool) -> None:
    with subprocess.Popen(["/usr/bin/sleep", "1000"], env=environment) as process:
        # One that executes a program just now shows no environment.
        assert (carried,) == poll_until(lambda: (said,) if (said := carries(process.pid, "TOKEN", "a")) is not None else (), WITHIN)
        process.kill()
