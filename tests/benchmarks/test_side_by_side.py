"""Supervisors side by side: a short run, its table, and what is different between two runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


def benchmark(*arguments: str) -> str:
    """What a command of the benchmark prints."""
    command = [sys.executable, "-m", "benchmarks.supervisors", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


@needs_cc
def test_a_short_run_has_each_contestant_beside_the_limit_and_what_each_leaves(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    contestants = ("C limit", "bare asyncio", "suptree")
    chosen = [word for name in contestants for word in ("-c", name)]
    table = benchmark("run", *chosen, *("-m", "restart", "-m", "left-by-the-manager", "-s", "2", "-n", "3", "--out", str(out)))
    samples = json.loads(out.read_text())["samples"]
    assert dict.fromkeys(contestants, 3) == {name: len(found) for name, found in samples["restart"]["2"].items()}
    assert all(0 < sample < 60_000 for found in samples["restart"]["2"].values() for sample in found)
    assert {"C limit": [20], "bare asyncio": [20], "suptree": [0]} == samples["left-by-the-manager"][""]
    assert 2 + 2 * len(contestants) == sum(line.startswith("|") for line in table.splitlines())


def results(suptree: list[float], asyncio: list[float]) -> dict[str, Any]:
    return {"samples": {"restart": {"10": {"suptree": suptree, "bare asyncio": asyncio}}}}


@pytest.mark.parametrize(
    ("new", "change", "verdict"),
    [
        # Twice as fast a machine, and nothing else.
        (results([20, 21, 22, 23, 24], [0.5, 0.5, 0.5]), "1.05 times", "no difference beyond noise"),
        (results([80, 82, 84, 86, 88], [1.0, 1.0, 1.0]), "2.00 times", "more"),
        (results([10, 10.5, 11, 11.5, 12], [1.0, 1.0, 1.0]), "0.26 times", "less"),
    ],
)
def test_a_comparison_says_what_is_different_beyond_noise(tmp_path: Path, new: dict[str, Any], change: str, verdict: str) -> None:
    files = [tmp_path / "old.json", tmp_path / "new.json"]
    for file, found in zip(files, (results([40, 41, 42, 43, 44], [1.0, 1.0, 1.0]), new), strict=True):
        file.write_text(json.dumps(found))
    (line,) = benchmark("compare", *map(str, files)).splitlines()
    assert (True, True) == (line.startswith(f"restart 10: {change} "), line.endswith(f": {verdict}")), line
