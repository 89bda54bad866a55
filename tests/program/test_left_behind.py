"""Whether a process carries the token of a hook: also while it executes one program after the other."""

import subprocess
import sys
from collections import Counter

import pytest

from suptree.actors.kernel.process_texts import carries
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
