"""What an error of a native agent means: the nearest AgentEnds counts, and in a group the one that keeps it down for the longest."""

import pytest

from suptree.actors.errors import AgentEnds, BudgetExceeded, CannotRun, Failed, Hung, QuotaExceeded, Shutdown
from suptree.actors.exits import Exit, ExitClass
from suptree.actors.native.agent_errors import AgentErrors, meaning_of


def chained(first: BaseException, then: BaseException) -> BaseException:
    """As if the second had been raised while the first was handled."""
    then.__context__ = first
    return then


def hidden(first: BaseException, then: BaseException) -> BaseException:
    """The same `from None`."""
    then.__context__, then.__suppress_context__ = first, True
    return then


def caused(first: BaseException, then: BaseException) -> BaseException:
    """The second, raised from the first."""
    then.__cause__ = first
    return then


QUOTA, LONGER_QUOTA, BUDGET, PERMANENT = QuotaExceeded("quota", 5), QuotaExceeded("longer quota", 50), BudgetExceeded("b"), CannotRun("p")


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (QUOTA, QUOTA),
        (ValueError(), None),
        (ExceptionGroup("g", [ValueError(), QUOTA]), QUOTA),
        (ExceptionGroup("g", [ValueError(), ExceptionGroup("g", [QUOTA])]), QUOTA),
        (BaseExceptionGroup("g", [KeyboardInterrupt(), QUOTA]), QUOTA),
        (ExceptionGroup("g", [ValueError(), KeyError()]), None),
        # Of several in a group.
        (ExceptionGroup("g", [Shutdown(), Failed(), Hung(), BUDGET, QUOTA, PERMANENT]), PERMANENT),
        (ExceptionGroup("g", [BUDGET, QUOTA, LONGER_QUOTA, Hung()]), LONGER_QUOTA),
        (ExceptionGroup("g", [Hung(), BUDGET, Failed()]), BUDGET),
        # The nearest.
        (caused(PERMANENT, QuotaExceeded("near")), QuotaExceeded),
        (caused(PERMANENT, ExceptionGroup("g", [LONGER_QUOTA])), LONGER_QUOTA),
        (BaseExceptionGroup("g", [caused(QUOTA, ValueError()), KeyError()]), QUOTA),
        (caused(QUOTA, ValueError()), QUOTA),
        (chained(QUOTA, ValueError()), QUOTA),
        (chained(QUOTA, caused(KeyError(), ValueError())), None),
        (hidden(QUOTA, ValueError()), None),
        (chained(ExceptionGroup("g", [QUOTA]), OSError()), QUOTA),
    ],
)
def test_the_nearest_of_an_agents_own_words_counts(error: BaseException, meaning: object) -> None:
    found = meaning_of(error)
    assert (type(found) is meaning) if isinstance(meaning, type) else (found is meaning)


def test_a_chain_that_is_a_circle_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__context__, second.__context__ = second, first
    assert meaning_of(first) is None


def test_a_class_of_the_agents_own_counts_after_all_that_are_known() -> None:
    class Odd(AgentEnds):
        exit_class = ExitClass.CRASH

    failed = Failed()
    assert meaning_of(ExceptionGroup("g", [Odd(), failed])) is failed


def test_an_exit_keeps_the_words_and_the_time_of_what_was_found_and_the_whole_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    notes: list[str] = []
    how = AgentErrors(notes.append, str).exit_of(ExceptionGroup("two", [ValueError("beside"), QUOTA]))
    assert Exit(ExitClass.QUOTA, "quota", "quota", 5.0) == how
    assert ["quota"] == notes
    assert "ValueError: beside" in capsys.readouterr().err


def test_what_raised_it_is_not_quoted_for_a_question() -> None:
    notes: list[str] = []
    described = AgentErrors(notes.append, str).describe_of_ask(chained(QUOTA, ValueError("of the conversation")))
    assert "quota" == described
    assert "of the conversation" not in "".join(notes)
