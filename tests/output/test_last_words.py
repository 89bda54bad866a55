"""What an agent said last: in the order of time, from either stream."""

from datetime import UTC, datetime, timedelta

import pytest

from suptree.actors.output.last_words import Said, in_order, last_error

ENDED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def said(before: float, source: str, text: str) -> Said:
    """A line that was said so many seconds before the end."""
    return Said((ENDED - timedelta(seconds=before)).isoformat(timespec="milliseconds").replace("+00:00", "Z"), source, text)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([said(0.1, "err", "FATAL")], "FATAL"),
        ([said(0.1, "out", "Error: no such model")], "Error: no such model"),
        # npm's notice at the start, and then what the program complains of on stdout.
        ([said(5, "err", "npm notice New version"), said(0.1, "out", "Error: no such model")], "Error: no such model"),
        # A buffer of stdout that is written at the end comes after the error.
        ([said(0.2, "err", "ValueError: 7"), said(0.1, "out", "step 3")], "ValueError: 7"),
        # nginx, or a postgres that was ready, an hour before.
        ([said(3600, "err", "[notice] start worker process")], None),
        ([said(3600, "err", "[notice] start worker process"), said(0.1, "out", "bye")], "bye"),
        ([said(0.1, "err", "FATAL"), said(0.05, "err", "  ")], "FATAL"),
        ([said(0.1, "hook", "from a hook"), said(0.1, "suptree", "ended process 7")], None),
        # What only ends a colour says nothing.
        ([said(0.1, "err", "\x1b[1;31mError:\x1b[0m no \x1b[38:5:2mkey"), said(0.05, "err", "\x1b[0m \x1b[m")], "Error: no key"),
        ([], None),
    ],
)
def test_the_last_error_is_what_the_program_said_last_before_its_end(lines: list[Said], expected: str | None) -> None:
    tails = {source: [line for line in lines if line.source == source] for source in ("out", "err", "hook", "suptree")}
    assert expected == last_error(tails, ENDED)


def test_what_was_said_stands_in_the_order_of_time() -> None:
    first, second, third = said(3, "err", "a"), said(2, "out", "b"), said(1, "hook", "c")
    assert (first, second, third) == in_order({"out": [second], "err": [first], "hook": [third]})
    assert ["a", "b", "[hook] c"] == [line.marked for line in (first, second, third)]
