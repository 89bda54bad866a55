"""What the seal costs: messages a second, and the time from a crash to the next incarnation, beside Thespian's transport without it.

python benchmarks/seal.py [ROUNDS]

Both are measured in turn, round by round, each in processes of its own. The unsealed transport is made here, and suptree has no way to it:
this file starts itself again with `--unsealed`, and puts Thespian's own connections where the sealed ones were.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

from thespian.actors import Actor, ActorAddress
from thespian.system.transport.TCPTransport import ExternalTransportCopy, TCPTransport

from suptree.actors.linux import become_subreaper
from suptree.control import actor_system
from suptree.testing import LiveTree

ROUNDS = 10
ROUND_TRIPS = 1_000
BURST = 1_000
CRASHES = 30
UNSEALED = "--unsealed"
TREE = """
[tree]
name = "seal"
[agents.victim]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
max_restarts = 100000
"""


class Unsealed(TCPTransport):  # type: ignore[misc]  # Thespian is untyped
    """Thespian's own transport, with the little that our actors ask of any."""

    inherited: ClassVar[set[int]] = set()

    def external_transport_clone(self) -> Any:
        """One that dies as ours do."""
        return type(self)(ExternalTransportCopy(), self._adminAddr, self.txOnly, False)


def remove_the_seal() -> None:
    """Let the trees of this process do without."""
    actor_system._Transport.__bases__ = (Unsealed,)
    actor_system.prove_that_the_unsealed_is_refused = lambda *_: None


class Echo(Actor):  # type: ignore[misc]
    """Sends back what it is sent."""

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802
        if isinstance(message, tuple):
            self.send(sender, message)


class Talker(Actor):  # type: ignore[misc]
    """Measures how fast it and an Echo talk: one message at a time, then many at once."""

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802
        if message == "begin":
            self.asked, self.echo = sender, self.createActor(Echo)
            self.expected, self.results, self.began = 10, [], 0.0
            self.send(self.echo, ("trip", self.expected))
        elif isinstance(message, tuple):
            kind, left = message
            self.expected -= 1
            if kind == "trip" and left > 1:
                self.send(self.echo, (kind, left - 1))
            elif self.expected == 0:
                self.results.append(time.perf_counter() - self.began)
                self.next()

    def next(self) -> None:
        """Go on with the next measurement."""
        self.began = time.perf_counter()
        if len(self.results) == 1:
            self.expected = ROUND_TRIPS
            self.send(self.echo, ("trip", ROUND_TRIPS))
        elif len(self.results) == 2:
            self.expected = BURST
            for _ in range(BURST):
                self.send(self.echo, ("burst", 0))
        else:
            self.send(self.asked, self.results[1:])


def talk() -> None:
    """Print the seconds of the round trips and of the burst."""
    become_subreaper()
    with tempfile.TemporaryDirectory() as folder:
        system = actor_system.start_actor_system(Path(folder)).thespian
        print(*system.ask(system.createActor(Talker), "begin", 120))
        system.shutdown()


def measure_messages(*arguments: str) -> tuple[float, float]:
    """Round trips a second, and messages a second there and back in a burst."""
    said = subprocess.run(
        [sys.executable, __file__, "talk", *arguments], capture_output=True, text=True, timeout=180, check=True, cwd=Path(__file__).parent
    )
    trips, burst = map(float, said.stdout.split())
    return ROUND_TRIPS / trips, BURST / burst


def measure_restarts(running: LiveTree) -> list[float]:
    """Milliseconds from SIGKILL of the program to the next one, as the events tell it."""
    return []


if __name__ == "__main__":
    if UNSEALED in sys.argv:
        remove_the_seal()
    if "talk" in sys.argv:
        talk()
