"""The results as Markdown, and what is different between two runs beyond their noise."""

import json
import math
import random
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .measures import MEASURES

BESIDE = ("C limit", "bare asyncio", "Erlang")
"""Each row has its median divided by that of these."""
_AGAIN = 2000
_SURE = 0.025


def median_and_p99(samples: list[float]) -> tuple[float, float]:
    """The median, and the value that 99 of 100 samples do not exceed."""
    ordered = sorted(samples)
    return statistics.median(ordered), ordered[math.ceil(0.99 * len(ordered)) - 1]


def table(results: Mapping[str, Any]) -> str:
    """One Markdown table of all that was measured, and the machine below it."""
    ratios = [f"÷ {name}" for name in BESIDE]
    heading = ["measure", "programs", "contestant", "n", "median", "p99", *ratios, "unit"]
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    for measure, sizes in results["samples"].items():
        for size, contestants in sizes.items():
            for name, samples in contestants.items():
                median, p99 = median_and_p99(samples)
                cells = [_ratio(median, contestants.get(other)) for other in BESIDE]
                row = [MEASURES[measure].what, size, name, str(len(samples)), _number(median), _number(p99), *cells, MEASURES[measure].unit]
                lines.append("| " + " | ".join(row) + " |")
    machine = ", ".join(f"{key} {value}" for key, value in results["machine"].items())
    absent = "".join(f"\nNot measured: {name}: {why}." for name, why in results["absent"].items())
    return "\n".join(lines) + f"\n\nMeasured on: {machine}.{absent}\n"


def differences(old: Path, new: Path, contestant: str = "suptree") -> Iterator[str]:
    """For each measure that both runs have, a line that says by how much the median has changed, and whether that is beyond noise.

    Each run is divided by its own bare asyncio, where it has one: so two machines, or two hours, can be compared. The interval of the
    change is that of a bootstrap of both, 95%.
    """
    before, after = (json.loads(file.read_text(encoding="utf-8"))["samples"] for file in (old, new))
    for measure in before.keys() & after.keys():
        for size in before[measure].keys() & after[measure].keys():
            pair = [found[measure][size] for found in (before, after)]
            if all(contestant in found for found in pair):
                low, middle, high = _change(*pair, contestant)
                verdict = "no difference beyond noise" if low <= 1 <= high else "more" if low > 1 else "less"
                yield f"{measure} {size}: {middle:.2f} times (95%: {low:.2f} to {high:.2f}): {verdict}"


def _change(before: Mapping[str, list[float]], after: Mapping[str, list[float]], contestant: str) -> tuple[float, float, float]:
    draws = random.Random(0)

    def value(found: Mapping[str, list[float]], again: bool) -> float:
        medians = []
        for name in (contestant, "bare asyncio"):
            samples = found.get(name, [1.0])
            medians.append(statistics.median(draws.choices(samples, k=len(samples)) if again else samples))
        return medians[0] / (medians[1] or 1.0)

    changes = sorted(value(after, True) / (value(before, True) or math.inf) for _ in range(_AGAIN))
    middle = value(after, False) / (value(before, False) or math.inf)
    return changes[int(_AGAIN * _SURE)], middle, changes[int(_AGAIN * (1 - _SURE))]


def _ratio(median: float, other: list[float] | None) -> str:
    base = statistics.median(other) if other else 0.0
    return f"{median / base:.2f}" if base else ""


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
