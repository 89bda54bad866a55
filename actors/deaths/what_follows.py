"""What follows from the decision about a death, and what a person can do meanwhile, in words."""

from collections.abc import Mapping
from typing import Any

NEXT: dict[str | None, str] = {
    "restart": "It is started again{after}{along}.",
    "leave": "It stays down, as its restart type says.",
    "hold": "It is held: it stays down until a person starts it.",
    "park": "It is parked: it is started again{after}{along}, and that costs no restart.",
    "quarantine": "It is quarantined: it stays down until a person starts it; its siblings run on.",
    "escalate": "Its supervisor gives up: it stops its other children and ends.",
    "auto_shutdown": "It was significant: its supervisor stops its other children and ends.",
    "wait": "Its supervisor waits for the start of a sibling, and decides after that.",
    None: "Nothing was decided about it: what it belonged to was ending, or was being stopped or restarted as a whole.",
}
"""What follows from each decision."""

NOT_WANTED = ("restart", "hold", "quarantine", "escalate")
"""Decisions that a normal end leads to only if the child was to run on."""

TO_DO: dict[str | None, str] = {
    "leave": "suptree start {id}",
    "hold": "fix the cause, then: suptree start {id}",
    "park": "nothing; or, to start it before its time: suptree start {id}",
    "quarantine": "fix the cause, then: suptree start {id}",
    "escalate": "suptree explain {supervisor}",
    "auto_shutdown": "suptree start {supervisor}",
}
"""What a person can do while a child is down for that decision."""


def next_after(decision: Mapping[str, Any] | None, child: str) -> str:
    """What follows from a decision (a `…_decided` event, or None), as a sentence."""
    if decision is None:
        return NEXT[None]
    others = [other for other in decision["affected"] if other != child]
    after = f" after {decision['delay']:.1f} s" if decision["delay"] else " immediately"
    return NEXT[decision["decision"]].format(after=after, along=f", along with {', '.join(others)}" if others else "")
