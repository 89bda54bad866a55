"""Every error that suptree raises, in one place."""


class SuptreeError(Exception):
    """The base of all errors of this library; its text is one line that says what to do."""


class Shutdown(Exception):
    """Raise it in a native agent's `run()`: the agent ends with OTP's reason `shutdown`, which is no crash."""


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


class NotRunning(SuptreeError):
    """No such tree runs."""


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
    """An agent does not take what it was told; the text says why."""


class RequestTimeout(SuptreeError, TimeoutError):
    """No answer came within the time limit; whether the request was carried out is not known."""
