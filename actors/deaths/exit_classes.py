"""Which class an exit is of. The first of these that says something decides:

1. a stop was requested: `shutdown`;
2. a cause that the supervisor recorded: that (it is asked first, and never gets here);
3. the kernel counted an OOM kill in its control group, and its main process was killed too, or said that what it waited for was: `oom`;
4. the agent's own word, a line of its output: that, also on exit 0;
5. what its spec says of the exit status;
6. the table below.
"""

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..exits import Exit, ExitClass, retry_time
from ..kernel.linux import signal_name

PERMANENT_CODES = {64: "bad usage", 77: "no permission", 78: "bad configuration", 126: "cannot be executed", 127: "command not found"}
"""Exit statuses that a restart does not change (sysexits.h and the shell's own)."""
QUOTA_CODE = 75
"""sysexits.h: EX_TEMPFAIL."""
_EXTERNAL_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""How a program ends that is killed, and how a shell does whose command was."""

WORD_PREFIX = b'{"suptree":'
_WORDS = (ExitClass.QUOTA, ExitClass.FAILED)
_WORD_LIMIT = 4096


def classify(code: int) -> Exit:
    """The exit of a program with a return code as subprocess gives it (negative: died by that signal), by the table alone."""
    number = -code if code < 0 else code - 128 if 128 < code < 128 + signal.NSIG else None
    exit_class, reason = _class_and_reason(code, number)
    return Exit(exit_class, reason, signal=number, code=code if code >= 0 else None)


def _class_and_reason(code: int, number: int | None) -> tuple[ExitClass, str]:
    if code == 0:
        return ExitClass.NORMAL, "exit 0"
    if code in PERMANENT_CODES:
        return ExitClass.PERMANENT, f"exit {code} ({PERMANENT_CODES[code]})"
    if code == QUOTA_CODE:
        return ExitClass.QUOTA, "exit 75 (try again later)"
    if number in _EXTERNAL_SIGNALS:
        return ExitClass.EXTERNAL, signal_name(number)
    if number is not None:
        return ExitClass.CRASH, signal_name(number) if code < 0 else f"exit {code} ({signal_name(number)})"
    return ExitClass.FAILED, f"exit {code}"


def says_why(how: Exit) -> bool:
    """Whether what a program said last may be why it ended: not where its supervisor was to end it, or something from outside killed it."""
    by_another = how.exit_class in (ExitClass.EXTERNAL, ExitClass.OOM) or how.signal == signal.SIGKILL
    return not how.is_normal and not by_another


@dataclass(frozen=True, slots=True)
class Word:
    """What an agent said of its own end; `retry_after` is in seconds."""

    exit_class: ExitClass
    reason: str
    retry_after: float | None = None


def parse_word(line: bytes) -> Word | None:
    """The word in a line of output such as `{"suptree": "quota", "reason": "rate limit", "retry_after": 30}`; None if there is none.

    The words are `quota` and `failed`. The last one that an agent says before it ends counts.
    """
    if not line.startswith(WORD_PREFIX) or len(line) > _WORD_LIMIT:
        return None
    try:
        said = json.loads(line)
        exit_class = ExitClass(said["suptree"])
    except (ValueError, RecursionError):
        return None
    if exit_class not in _WORDS:
        return None
    reason = said.get("reason")
    return Word(
        exit_class,
        reason.strip().splitlines()[0] if isinstance(reason, str) and reason.strip() else f"it said {exit_class.value}",
        retry_time(said.get("retry_after")) if exit_class is ExitClass.QUOTA else None,
    )


def oom_note(oom_kills: int) -> str:
    """What to say of processes that the kernel killed because memory was short."""
    return f"the kernel killed {'a process' if oom_kills == 1 else f'{oom_kills} processes'} of it because memory was short"


def explain_exit(
    code: int,
    *,
    stop_requested: bool = False,
    oom_kills: int = 0,
    word: Word | None = None,
    exit_codes: Mapping[int, ExitClass] | None = None,
) -> Exit:
    """How a program ended, from its return code and what else is known."""
    how = classify(code)
    if stop_requested:
        return replace(how, exit_class=ExitClass.SHUTDOWN)
    if oom_kills and code in _KILLED:
        return replace(how, exit_class=ExitClass.OOM, reason=f"{oom_note(oom_kills)}; {how.reason}")
    if word is not None:
        return replace(how, exit_class=word.exit_class, reason=f"{word.reason}; {how.reason}", retry_after=word.retry_after)
    if exit_codes and code in exit_codes:
        return replace(how, exit_class=exit_codes[code], reason=f"exit {code} (as its exit_codes say)")
    return how
