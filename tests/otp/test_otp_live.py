"""Real supervisor and agent actors leave the same traces as the core on its simulated clock, which is compared with Erlang elsewhere."""

import json
import random
import subprocess
import sys

from tests.otp.test_random import any_scenario

COUNT = 8


def traces(text: str, *options: str) -> list[str]:
    command = [sys.executable, "-m", "suptree.scripts.otp_trace", *options]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=110, check=True)
    return done.stdout.splitlines()


def test_live_traces_are_those_of_the_core() -> None:
    rng = random.Random(11)
    text = "".join(json.dumps(any_scenario(rng)) + "\n" for _ in range(COUNT))
    live = traces(text, "--live")
    assert COUNT == len(live)
    assert traces(text) == live
