"""Every error that suptree raises, in one place, and what a native agent raises to end."""

from typing import Any, ClassVar, Self

from .exits import CauseId, ExitClass, retry_time


class SuptreeError(Exception):
    """The base of all errors of this library; its text is one line that says what to do."""

    seq: int | None = None
    """Of a command that was refused or failed: the number of the last event before that answer, where it is known."""


class AgentEnds(Exception):
    """Raise one of these in a native agent's `run()`, `handle()`, `ask()` or factory: it ends, and its exit is of this class.

    The text becomes the reason of the exit, which is written down and shown: no prompts, no secrets.
    """

    exit_class: ClassVar[ExitClass] = ExitClass.FAILED
    retry_after: float | None = None
    cause: CauseId | None = None

    def because(self, cause: CauseId) -> Self:
        """This error, with the cause of the exit that it leads to."""
        self.cause = cause
        return self


class Shutdown(AgentEnds):
    """It has done what it was to do: OTP's reason `shutdown`, which is no crash."""

    exit_class = ExitClass.SHUTDOWN


class QuotaExceeded(AgentEnds):
    """It ran into a quota or a rate limit; with `park = true` it waits `retry_after` seconds, and that costs no restart."""

    exit_class = ExitClass.QUOTA

    def __init__(self, reason: str = "quota exceeded", retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_time(retry_after)


class BudgetExceeded(AgentEnds):
    """It has used up what it may use."""

    exit_class = ExitClass.BUDGET


class Hung(AgentEnds):
    """What it waits for does not answer."""

    exit_class = ExitClass.HUNG


class Failed(AgentEnds):
    """It cannot go on, for a reason that a restart may remove."""


class CannotRun(AgentEnds):
    """It cannot run as it is configured: a restart would fail in the same way."""

    exit_class = ExitClass.PERMANENT


class SpecError(SuptreeError, ValueError):
    """A spec that can never work was built."""


class ConfigError(SuptreeError, ValueError):
    """A configuration was refused; `problems` holds every fault that was found, not only the first.

    Each problem is `(place, what)`: where it stands (`agents.coder.restart`, or `line 7`), and what is wrong and would be right.
    """

    def __init__(self, source: str, problems: list[tuple[str, str]]) -> None:
        self.source = source
        self.problems = problems
        super().__init__("\n".join(f"{source}: {place}: {what}" for place, what in problems))


class MissingOnMachine(ConfigError):
    """A configuration is good, and cannot run here: programs or factories are missing; `problems` holds all of them."""


class NotRunning(SuptreeError):
    """No such tree runs."""


class RunsElsewhere(SuptreeError):
    """The tree runs, but on another host or in another pid or mount namespace (a container); the text says where, and what to do."""


class AccessRefused(SuptreeError):
    """The tree does not let this client in; the text says what it must show."""


class NoSuchAgent(SuptreeError, KeyError):
    """No agent or supervisor of that id is in the tree."""

    def __str__(self) -> str:
        return str(self.args[0])


class AlreadyRunning(SuptreeError):
    """That id, or that tree, runs already."""


class AlreadyPresent(AlreadyRunning):
    """That id is in the tree already, and is stopped (OTP: `already_present`)."""


class StartFailed(SuptreeError):
    """An agent could not be started; the text says why."""


class InputRefused(SuptreeError):
    """An agent does not take what a client said to it; the text says why."""

    ends = False
    """Whether the reason is that this incarnation has ended."""


class AskFailed(SuptreeError):
    """An agent was asked, and there is no reply: its own error, or it ended meanwhile; the text says what happened.

    `exit_class` is the class of its end when it ended over this very question; `retry_after` is in seconds, where a quota said so.
    """

    def __init__(self, message: str, exit_class: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.exit_class = exit_class
        self.retry_after = retry_after


class AgentEnded(SuptreeError, ConnectionError):
    """The incarnation of an agent that a program talks to over stdin and stdout has ended, or reads no more; the text says how.

    `incarnation` is its number; `exit` is how it ended (None where that is not known, or it goes on): `class`, `reason`, `last_error`,
    `signal`, `code` and the other keys of an exit in the events.
    """

    def __init__(self, message: str, incarnation: int, how: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.incarnation = incarnation
        self.exit = how


class UnknownEvent(SuptreeError, ValueError):
    """A JSON object is no event, or one of a type that this version does not know."""


class RequestTimeout(SuptreeError, TimeoutError):
    """No answer came within the time limit; whether the request was carried out is not known."""
