"""What a program says of its own end, in a line of output."""

import pytest

from suptree.actors.deaths.exit_classes import parse_word
from suptree.actors.exits import LONGEST_RETRY_AFTER


@pytest.mark.parametrize(
    ("said", "kept"),
    # A month is as good as for ever.
    [("30", 30.0), ("1e17", LONGEST_RETRY_AFTER), ("1" + 400 * "0", LONGEST_RETRY_AFTER), ("-1", None), ("NaN", None)],
)
def test_it_keeps_a_time_that_can_be(said: str, kept: float | None) -> None:
    word = parse_word(f'{{"suptree": "quota", "retry_after": {said}}}'.encode())
    assert word is not None
    assert kept == word.retry_after


@pytest.mark.parametrize(
    "line",
    [
        '{"suptree":"crash"}',
        '{"suptree":["quota"]}',
        '{"suptree":"quota"',
        '{"suptree":"quota", "reason": }',
        '{"suptree":' + "[" * 4000,
        '{"suptree":' + "[" * 2000 + "]" * 2000 + "}",
    ],
)
def test_what_is_no_word_is_output(line: str) -> None:
    assert parse_word(line.encode()) is None


@pytest.mark.parametrize(
    ("reason", "said"),
    [('"slow down"', "slow down"), ('"  one\\ntwo"', "one"), ('"\\n two"', "two"), ('" \\n"', "it said failed"), ("5", "it said failed")],
)
def test_its_reason_is_one_line(reason: str, said: str) -> None:
    word = parse_word(f'{{"suptree": "failed", "reason": {reason}}}'.encode())
    assert word is not None
    assert said == word.reason
