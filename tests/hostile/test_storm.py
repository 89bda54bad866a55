"""A short storm, on each path; `python -m tests.hostile.storm` runs long ones."""

from pathlib import Path

import pytest

from suptree.actors.kernel.cgroup import OFF_VARIABLE

from . import storm

KILLS = 25


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("seed", "cgroups"), [(1, "auto"), (2, "off")])
def test_a_storm_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, cgroups: str) -> None:
    monkeypatch.setenv(OFF_VARIABLE, cgroups)
    passed = storm.run(tmp_path, seed, KILLS)
    assert passed.kills.total() >= KILLS
