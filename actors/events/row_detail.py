"""What stands beside the status of a child, for people; made from the fields of its row, and read by no program."""

import time
from collections.abc import Callable

from .picture import Row


def remaining(row: Row, now: float | None = None) -> float | None:
    """How many seconds of its backoff or park are left now, on the machine's monotonic clock; None when it waits for neither."""
    if row["until"] is None:
        return None
    return max(0.0, float(row["until"]) - (time.monotonic() if now is None else now))


def detail(row: Row, now: float | None = None) -> str | None:
    """The detail of a row in words; None when there is nothing to say beside the status."""
    now = time.monotonic() if now is None else now
    return next((words(row, now) for field, words in _WORDS.items() if row[field] not in (None, False, [])), None)


def described(row: Row, now: float | None = None) -> str | None:
    """The detail of a row, or, where there is none, what the agent says of itself."""
    return detail(row, now) or row["status_text"]


def _decision(row: Row, now: float) -> str:
    left = remaining(row, now)
    after = "" if left is None else f" in {left:.1f} s"
    error = (row["last_exit"] or {}).get("last_error")
    cause = f" ({error})" if error and error not in row["why"] else ""
    return f"{row['decision']}{after}: {row['why']}{cause}"


def _unkillable(row: Row, _now: float) -> str:
    return f"unkillable: {', '.join(map(str, row['unkillable']))} got SIGKILL and did not die; its end is not over before they have"


_WORDS: dict[str, Callable[[Row, float], str]] = {
    "unkillable": _unkillable,
    "suspect": lambda row, now: f"suspect: silent for {now - row['silent_since']:.1f} s",
    "stalled": lambda row, now: f"stalled: no progress for {now - row['stalled_since']:.1f} s",
    "decision": _decision,
    "waiting_for": lambda row, _now: f"waits for {row['waiting_for']}, and starts along with it",
    "awaits_ready": lambda _row, _now: "waiting for READY=1",
    "why": lambda row, _now: str(row["why"]),
}
"""What is said of a field that is set; the first one that is set counts."""
