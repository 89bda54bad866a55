"""How fast the core decides, beside a plain dictionary update on the same machine.

    python benchmarks/core_decisions.py [--check]

With --check the exit status is 1 when 100 children get fewer than 100,000 decisions a second, or when an event among 10,000 children costs
more than twice what it costs among 100.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator

from suptree.actors.exits import Exit, ExitClass
from suptree.supervisors.core.core import SupervisorCore
from suptree.supervisors.decisions.core_events import ChildExited, ChildStarted, Event, SupervisorStarted
from suptree.supervisors.spec.child_spec import ChildSpec, SupervisorFlags

ROUNDS = 7
CRASH = Exit(ExitClass.CRASH, "SIGSEGV")


def best(run: Callable[[], int]) -> float:
    """Seconds for each of the things that `run` does and counts, in the best of several rounds."""

    def once() -> float:
        begun = time.perf_counter()
        count = run()
        return (time.perf_counter() - begun) / count

    return min(once() for _ in range(ROUNDS))


def seconds_per_decision(children: int) -> float:
    """The children crash in turn, and each is started again: two events for each crash."""
    names = [f"c{n}" for n in range(children)]
    core = SupervisorCore(SupervisorFlags(max_restarts=10, within=1.0), [ChildSpec(id=name) for name in names])
    core.handle(SupervisorStarted(), 0.0)
    for name in names:
        core.handle(ChildStarted(name, 1), 0.0)
    lives = max(1, 10_000 // children)
    rounds: Iterator[list[Event]] = iter(
        [
            [
                event
                for incarnation in range(1 + lives * done, 1 + lives * (done + 1))
                for name in names
                for event in (ChildExited(name, incarnation, CRASH), ChildStarted(name, incarnation + 1))
            ]
            for done in range(ROUNDS)
        ]
    )
    now = 0.0

    def crash_all() -> int:
        nonlocal now
        events = next(rounds)
        for event in events:
            now += 0.2
            core.handle(event, now)
        return len(events)

    seconds = best(crash_all)
    assert core.child("c0").incarnation == 1 + lives * ROUNDS
    return seconds


def seconds_per_update(keys: int) -> float:
    """A plain dictionary, for comparison."""
    table = {f"c{n}": 0 for n in range(keys)}
    names = list(table) * (200_000 // keys)

    def update_all() -> int:
        for name in names:
            table[name] += 1
        return len(names)

    return best(update_all)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    small, large = seconds_per_decision(100), seconds_per_decision(10_000)
    update = seconds_per_update(100)
    print(f"100 children:     {1 / small:9,.0f} decisions/s, {small / update:.0f} times a dictionary update ({update * 1e9:.0f} ns)")
    print(f"10,000 children:  {1 / large:9,.0f} decisions/s, {large / small:.2f} times the cost for 100")
    return 1 if check and (1 / small < 100_000 or large > 2 * small) else 0


if __name__ == "__main__":
    sys.exit(main())
