"""What the seal costs: messages a second, and the time from a crash to the next incarnation, beside Thespian's transport without it.

python benchmarks/cost_of_the_seal.py [ROUNDS]

Both are measured in turn, round by round, each in processes of its own. The unsealed transport is made here, and suptree has no way to it:
this file starts itself again with `--unsealed`, and puts Thespian's own connections where the sealed ones were.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from thespian.actors import Actor, ActorAddress
from thespian.system.transport.TCPTransport import ExternalTransportCopy, TCPTransport

from suptree.actors.kernel.linux import become_subreaper
from suptree.control.client.client import Client
from suptree.control.seal import actor_system
from suptree.testing import LiveTree

ROUNDS = 10
ROUND_TRIPS = 1_000
BURST = 1_000
CRASHES = 100
UNSEALED = "--unsealed"
TREE = """
[tree]
name = "seal"
[agents.victim]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
supervisor = "team"
[supervisors.team]
max_restarts = 1000
within = 1
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
    """Measures how fast it and an Echo talk: one message at a time, then many together."""

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


@contextmanager
def launcher_of(executable: Path | str) -> Iterator[None]:
    """Trees that are started meanwhile are started by this."""
    own, sys.executable = sys.executable, str(executable)
    try:
        yield
    finally:
        sys.executable = own


def unsealed_launcher(folder: Path) -> Path:
    """What starts a tree without the seal; it is called as a Python is that is to run the launcher."""
    script = folder / "unsealed-launcher"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nsys.argv = sys.argv[2:]\n"
        "import seal\nfrom suptree.control.launcher import launcher\nseal.remove_the_seal()\nsys.exit(launcher.main())\n"
    )
    script.chmod(0o700)
    return script


def measure_restart(running: LiveTree) -> float:
    """Seconds from SIGKILL of a program to the next one, by the clock of the process that started it."""
    before = running.agent("victim")

    async def until_it_runs(client: Client) -> dict[str, Any]:
        began = time.monotonic()
        os.kill(before["pid"], signal.SIGKILL)
        async for event in client.events():
            if event["event"] == "agent_started" and event["incarnation"] > before["incarnation"]:
                return {"took": event["monotonic"] - began}
        raise AssertionError("the tree ended")

    return float(running.ask(until_it_runs)["took"])


def show(what: str, unit: str, sealed: list[float], unsealed: list[float], *, more_is_better: bool) -> None:
    """One line: both medians, and what the seal costs; the quartiles of the ratios of pairs say how sure that is."""
    ratios = [one / other if more_is_better else other / one for one, other in zip(sealed, unsealed, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"{what}: {statistics.median(sealed):,.1f} {unit} sealed, {statistics.median(unsealed):,.1f} without;"
        f" {middle:.2f} times as good ({low:.2f} to {high:.2f} in {len(ratios)} pairs)"
    )


def main(rounds: int) -> None:
    """Measure both in turn, and print the ratios."""
    pairs = [(measure_messages(), measure_messages(UNSEALED)) for _ in range(rounds)]
    sealed, unsealed = zip(*pairs, strict=True)
    for place, what in enumerate(("round trips", "messages in a burst")):
        show(what, "a second", [one[place] for one in sealed], [one[place] for one in unsealed], more_is_better=True)
    with tempfile.TemporaryDirectory() as folder, LiveTree(TREE) as with_seal, launcher_of(unsealed_launcher(Path(folder))):
        without = LiveTree(TREE)
        with without:
            took = []
            for tree in (with_seal, without):
                tree.wait_until_all_run()
            for number in range(CRASHES * rounds // 10):
                in_turn = (with_seal, without) if number % 2 else (without, with_seal)
                both = {id(tree): 1000 * measure_restart(tree) for tree in in_turn}
                took.append((both[id(with_seal)], both[id(without)]))
    show("a crash to the next incarnation", "ms", *map(list, zip(*took, strict=True)), more_is_better=False)


if __name__ == "__main__":
    if UNSEALED in sys.argv:
        remove_the_seal()
    if "talk" in sys.argv:
        talk()
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
