"""docs/semantics.md says what the code does, and names tests that exist."""

import pathlib
import re

from ..core.semantics_tables import PAGE, TABLES, renewed

TESTS = pathlib.Path(__file__).resolve().parents[1]


def test_the_tables_are_those_of_the_code() -> None:
    page = PAGE.read_text()
    assert all(f"<!-- table: {name} -->" in page for name in TABLES)
    assert renewed(page) == page, "stale: run `python -m tests.core.semantics_tables`"


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`((?:test_|restarts_never|no_request|come_to_rest)\w+)`", PAGE.read_text()))
    defined = {name for path in TESTS.rglob("*.py") for name in re.findall(r"def (\w+)\(", path.read_text())}
    assert set() == named - defined
    assert len(named) > 30
