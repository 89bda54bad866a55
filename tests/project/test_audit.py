"""The dependency audit tells a finding from an all-clear, and both from having asked nobody."""

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit.py"
CLEAN = {"name": "click", "version": "8.1", "vulns": []}
OURS = {"name": "suptree", "skip_reason": "not on PyPI"}
SKIPPED = {"name": "httpx", "skip_reason": "Dependency not found on PyPI and could not be audited"}
FOUND = {
    "name": "h11",
    "version": "0.14.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["0.16.0"]}, {"id": "PYSEC-2", "fix_versions": []}],
}
NOT_ASKED = "NOT audited: the vulnerability service could not be asked about any package"


@pytest.fixture(scope="module")
def judge() -> Callable[[str], tuple[list[str], int]]:
    found: Callable[[str], tuple[list[str], int]] = runpy.run_path(str(AUDIT))["judge"]
    return found


@pytest.mark.parametrize(
    ("packages", "lines", "status"),
    [
        ([CLEAN, OURS], ["1 packages audited, 0 vulnerabilities"], 0),
        ([CLEAN, SKIPPED, OURS], ["1 packages audited, 0 vulnerabilities; not known there: httpx"], 0),
        (
            [CLEAN, FOUND],
            [
                "2 packages audited, 2 vulnerabilities",
                "h11 0.14.0: PYSEC-1; fixed in 0.16.0",
                "h11 0.14.0: PYSEC-2; fixed in no version yet",
            ],
            1,
        ),
        ([SKIPPED, OURS], [NOT_ASKED], 0),
        ([], [NOT_ASKED], 0),
    ],
)
def test_an_answer_is_judged(judge: Callable[[str], Any], packages: list[Any], lines: list[str], status: int) -> None:
    assert (lines, status) == judge(json.dumps({"dependencies": packages, "fixes": []}))


@pytest.mark.parametrize("answer", ["", "Traceback", "[]", "null", '{"dependencies": 1}', "{}"])
def test_no_answer_is_neither_failure_nor_all_clear(judge: Callable[[str], Any], answer: str) -> None:
    assert ([NOT_ASKED], 0) == judge(answer)


def test_a_finding_fails_the_command(tmp_path: Path) -> None:
    (tmp_path / "answer").write_text(json.dumps({"dependencies": [FOUND]}))
    done = subprocess.run([sys.executable, AUDIT, tmp_path / "answer"], capture_output=True, text=True, timeout=60, check=False)
    assert (1, 3) == (done.returncode, len(done.stdout.splitlines()))
