"""Whether two exits look alike, whatever changes from run to run."""

import re
import signal

from suptree.actors.exits import CauseId, Exit, ExitClass

ALIKE_LIMIT = 3
"""So many exits alike, one after the other, are held."""

# Order matters: a timestamp holds digits, a path may hold an address.
_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?\s*(Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\d\d:\d\d:\d\d([.,]\d+)?"), "<time>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), "<uuid>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<address>"),
    (re.compile(r"(?<!\d)(?<!exit )\d+"), "<n>"),  # an exit code tells failures apart
    (re.compile(r"\s+"), " "),
)


def normalise(text: str) -> str:
    """The text without what differs between two runs that fail for the same reason: times, ids, addresses and numbers."""
    for pattern, name in _VARYING:
        text = pattern.sub(name, text)
    return text.strip()


def fingerprint(exit_: Exit) -> str | None:
    """What exits that look alike have in common; None where an exit says nothing against the child.

    A normal exit says nothing, and neither does one from outside (class `external`, or a SIGKILL) or for a shortage, which passes.
    """
    if exit_.is_normal or exit_.cause is CauseId.SHORTAGE or exit_.exit_class is ExitClass.EXTERNAL or exit_.signal == signal.SIGKILL:
        return None
    return f"{exit_.exit_class}: {normalise(exit_.last_error or exit_.reason)}"
