"""What an error of a native agent's code means: how it ends the agent, and how it is said."""

import contextlib
import traceback
from collections.abc import Callable
from dataclasses import replace

from ..deaths.evidence import shortened
from ..deaths.exit_classes import classify
from ..errors import AgentEnds
from ..exits import Exit, ExitClass

_LONGEST_FIRST = (ExitClass.PERMANENT, ExitClass.QUOTA, ExitClass.BUDGET, ExitClass.HUNG, ExitClass.FAILED, ExitClass.SHUTDOWN)
_RANKS = {exit_class: rank for rank, exit_class in enumerate(_LONGEST_FIRST)}
"""Of several, that counts which keeps an agent down for the longest: a start before that would fail again."""


def meaning_of(error: BaseException | None) -> AgentEnds | None:
    """The AgentEnds that an error is, or that it holds; None when there is none.

    The nearest counts: the error itself, then, in an ExceptionGroup, its members (each by this same rule), then what it was raised from
    (`__cause__`), then what was being handled (`__context__`, unless `from None` hides it). Among the members of a group that counts which
    comes first in: permanent, quota (the longest wait first), budget, hung, failed, shutdown.
    """
    return _meaning(error, set())


def _meaning(error: BaseException | None, seen: set[int]) -> AgentEnds | None:
    while error is not None and id(error) not in seen:
        if isinstance(error, AgentEnds):
            return error
        seen.add(id(error))
        if isinstance(error, BaseExceptionGroup):
            found = [meant for member in error.exceptions if (meant := _meaning(member, seen)) is not None]
            if found:
                return min(found, key=lambda meant: (_RANKS.get(meant.exit_class, len(_RANKS)), -(meant.retry_after or 0.0)))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def in_a_line(error: BaseException) -> str:
    """An error in a line: an AgentEnds in its own words, or else that of its class; any other with its type."""
    says_itself = isinstance(error, AgentEnds)
    line = error.exit_class.value if isinstance(error, AgentEnds) else type(error).__name__
    # It runs the error's own code, which may fail as well.
    with contextlib.suppress(Exception):
        if said := str(error):
            line = (said if says_itself else f"{line}: {said}").splitlines()[0]
    return line


def print_error(error: BaseException) -> None:
    """The traceback, to the agent's error output."""
    # It runs the error's own code, which may fail as well.
    with contextlib.suppress(Exception):
        traceback.print_exception(error)


class AgentErrors:
    """Puts the errors of one agent into an Exit, or into words; `note` writes a line to its error output, `redact` hides its secrets."""

    def __init__(self, note: Callable[[str], None], redact: Callable[[str], str]) -> None:
        self._note = note
        self._redact = redact

    def exit_of(self, error: BaseException) -> Exit:
        """How an error of its own ends an agent."""
        ends = meaning_of(error)
        if ends is not error:
            said = self._exit_of_status(error)
            if said is not None:
                return said
            print_error(error)
        if ends is None:
            line = in_a_line(error)
            return Exit(ExitClass.FAILED, line, last_error=line)
        reason = in_a_line(ends)
        if ends.exit_class is ExitClass.SHUTDOWN:
            return Exit(ends.exit_class, reason, cause=ends.cause)
        self._note(reason)
        return Exit(ends.exit_class, reason, reason, ends.retry_after, cause=ends.cause)

    def describe(self, error: BaseException) -> str:
        """An error in a line, for somebody outside."""
        return shortened(self._redact(in_a_line(meaning_of(error) or error)))

    def describe_of_ask(self, error: BaseException) -> str:
        """The same of an error of `ask()`; the log says where it was raised, and not what it says: that may be of the conversation."""
        if not isinstance(error, AgentEnds):
            self._note("".join([f"its ask() raised {type(error).__name__}\n", *traceback.format_tb(error.__traceback__)]).rstrip())
        return self.describe(error)

    @staticmethod
    def _exit_of_status(error: BaseException) -> Exit | None:
        """The Exit of `sys.exit(status)`."""
        if isinstance(error, SystemExit) and isinstance(error.code, int | None):
            # Eight bits are what the kernel keeps of a status.
            how = classify((error.code or 0) & 0xFF)
            return replace(how, reason=f"sys.exit: {how.reason}")
        return None
