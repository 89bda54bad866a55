"""Every small tree under every short sequence of events: our core does what Erlang/OTP does.

    python -m tests.otp.exhaustive [--children 3] [--events 3]

Says how many cases it ran. A tree whose traces differ is asked for again, and its first difference is printed.
"""

import argparse
import itertools
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from .reference import Scenario, ask_erlang, digest, events_term, trace, tree_term

STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
RESTARTS = ("permanent", "transient", "temporary")
INTENSITIES = (0, 1, 2)


def trees(children: int) -> Iterator[Scenario]:
    """Every tree of at most so many children."""
    for count in range(1, children + 1):
        for strategy, intensity, *restarts in itertools.product(STRATEGIES, INTENSITIES, *[RESTARTS] * count):
            yield {
                "strategy": strategy,
                "intensity": intensity,
                "period": 3600,
                "auto_shutdown": "never",
                "children": [
                    {"id": child_id, "restart": restart, "significant": False, "shutdown": 5000, "start": ["ok"]}
                    for child_id, restart in zip("abc", restarts, strict=False)
                ],
            }


def alphabet(tree: Scenario) -> list[list[Any]]:
    """Every event that can happen to the children of a tree."""
    ids = [child["id"] for child in tree["children"]]
    return [
        *(["exit", child_id, reason] for child_id in ids for reason in ("crash", "normal")),
        *([call, child_id] for call in ("terminate_child", "restart_child", "delete_child") for child_id in ids),
    ]


def sequences(events: list[list[Any]], length: int) -> Iterator[list[list[Any]]]:
    """Every sequence of at most so many events, in the order of reference.erl."""
    yield []
    if length:
        for first in events:
            for rest in sequences(events, length - 1):
                yield [first, *rest]


def cases(tree: Scenario, length: int) -> Iterator[Scenario]:
    """A tree under every sequence."""
    for events in sequences(alphabet(tree), length):
        yield {**tree, "events": events}


def first_difference(tree: Scenario, length: int, tmp: pathlib.Path) -> str:
    """Where a tree whose digests differ differs first."""
    all_cases = list(cases(tree, length))
    batch = f"{{traces,{tree_term(tree)},{{only,[{','.join(events_term(case['events']) for case in all_cases)}]}}}}"
    for case, expected in zip(all_cases, ask_erlang([batch], tmp), strict=True):
        if (actual := trace(case)) != expected:
            return f"{case}\n  otp:  {expected}\n  core: {actual}"
    return f"{tree}: the digests differ, the traces do not"


def compare(children: int, length: int) -> tuple[int, list[str]]:
    """How many cases were compared, and the first difference of each tree that has one."""
    all_trees = list(trees(children))
    batches = [f"{{digest,{tree_term(tree)},{{all,{events_term(alphabet(tree))},{length}}}}}" for tree in all_trees]
    with tempfile.TemporaryDirectory() as folder:
        tmp = pathlib.Path(folder)
        expected = ask_erlang(batches, tmp)
        count = 0
        differences = []
        for tree, digest_of_otp in zip(all_trees, expected, strict=True):
            kinds = len(alphabet(tree))
            count += sum(kinds**n for n in range(length + 1))
            if digest(cases(tree, length)) != digest_of_otp:
                differences.append(first_difference(tree, length, tmp))
    return count, differences


def main() -> int:
    """Compare and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--children", type=int, default=3)
    parser.add_argument("--events", type=int, default=3)
    args = parser.parse_args()
    begun = time.monotonic()
    count, differences = compare(args.children, args.events)
    for difference in differences:
        print(difference)
    print(f"{count:,} cases compared with Erlang/OTP, {len(differences)} trees differ ({time.monotonic() - begun:.0f} s)")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
