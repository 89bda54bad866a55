"""What a program says of its own end, in a line of output."""

import pytest

from suptree.actors.deaths.exit_classes import explain_exit, parse_word
from suptree.actors.exits import LONGEST_RETRY_AFTER, ExitClass


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


@pytest.mark.parametrize(
    ("code", "exit_class"),
    [
        (-9, ExitClass.OOM),
        # A shell whose command was killed.
        (137, ExitClass.OOM),
        (0, ExitClass.NORMAL),
        (1, ExitClass.FAILED),
        (78, ExitClass.PERMANENT),
        (-11, ExitClass.CRASH),
    ],
)
def test_only_a_program_that_was_killed_itself_ran_out_of_memory(code: int, exit_class: ExitClass) -> None:
    assert exit_class is explain_exit(code, oom_kills=1).exit_class


def test_what_a_program_says_of_its_end_counts_after_a_helper_was_killed_for_lack_of_memory() -> None:
    word = parse_word(b'{"suptree": "quota", "retry_after": 5}')
    assert ExitClass.QUOTA is explain_exit(1, oom_kills=2, word=word).exit_class
