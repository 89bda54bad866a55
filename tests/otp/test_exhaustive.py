"""The exhaustive comparison, as far as a test run can afford; `python -m tests.otp.exhaustive` runs all of it."""

import pytest

from .exhaustive import compare
from .reference import HAS_ERLANG

pytestmark = pytest.mark.skipif(not HAS_ERLANG, reason="needs Erlang")


@pytest.mark.parametrize(("children", "events", "cases"), [(2, 2, 9_828), (3, 1, 4_941)])
def test_every_small_tree_under_every_short_sequence_of_events_does_as_erlang(children: int, events: int, cases: int) -> None:
    assert (cases, []) == compare(children, events)
