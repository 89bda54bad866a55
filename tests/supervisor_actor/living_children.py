"""A child of a supervisor for the tests of one part: a real process, and a channel that keeps what is sent."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from suptree.actors.base.channel import Numbered, Outbox
from suptree.actors.base.deadlines import Deadlines
from suptree.supervisors.actor.children import LivingChild, redactor_of
from suptree.supervisors.config.child_from_config import agent_child_from_config

SLEEPER = {"command": "sleep", "args": ["1000000"]}


class SentMessages:
    """Every message that is sent through its channels, oldest first."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def channel(self) -> Outbox:
        """A channel whose messages are kept here."""
        return Outbox(self._keep, "address")

    def _keep(self, _address: Any, numbered: Any) -> None:
        assert isinstance(numbered, Numbered)
        self.messages.append(numbered.message)


@contextmanager
def living_child(deadlines: Deadlines, sent: SentMessages, **config: Any) -> Iterator[tuple[LivingChild, subprocess.Popen[bytes]]]:
    """An agent `a` in its first incarnation, whose actor is a real process; the process is gone afterwards."""
    spec = agent_child_from_config("a", "process_wrapper", {**SLEEPER, **config}, "/")
    process = subprocess.Popen(["sleep", "1000000"])
    pidfd = os.pidfd_open(process.pid)
    standing_for: Any = process
    try:
        yield LivingChild(spec, 1, sent.channel(), process.pid, standing_for, pidfd, redactor_of(spec), deadlines, lambda _: None), process
    finally:
        process.kill()
        process.wait(10)
        os.close(pidfd)
