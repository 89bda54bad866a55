"""What of a death is read again, and of which type that is: a person may have edited the file of a post-mortem."""

from typing import Any

from ..events.event_types import Kind
from ..events.json_values import boolean, by_name, each, number, number_or_none, or_none, record, text, text_or_none, whole, whole_or_none
from ..exits import ExitClass
from .what_follows import NEXT


def _decision(value: Any) -> str:
    if value is None or value not in NEXT:
        raise ValueError(value)
    return str(value)


_EXIT = record(
    {"class": ExitClass, "reason": text},
    {"last_error": text_or_none, "cause": text_or_none, "signal": whole_or_none, "code": whole_or_none},
)
_EVIDENCE = record(
    {
        "out": each(text),
        "err": each(text),
        "usage": or_none(record({"peak_memory": number_or_none, "cpu_time": number}, {"memory_floor": number})),
        "swept": each(record({"pid": whole, "command": text})),
        "environment": by_name(text),
        "from_log": boolean,
    },
    {
        "said": or_none(each(record({"at": text, "source": text, "text": text}))),
        "notes": each(text),
    },
)
DEATH = record(
    {
        "id": text,
        "kind": Kind,
        "incarnation": whole,
        "at": text,
        "lifetime": number_or_none,
        "exit": _EXIT,
        "config": record({}, {"args": each(text), **dict.fromkeys(("command", "cwd", "factory"), text_or_none)}),
        "timeline": each(record({"at": text, "text": text})),
        "evidence": _EVIDENCE,
        "decision": or_none(
            record(
                {
                    "decision": _decision,
                    "why": text,
                    "delay": number,
                    "affected": each(text),
                    "restarts_left": whole_or_none,
                    "at": text,
                }
            )
        ),
    },
    {
        **dict.fromkeys(("type", "run_began", "supervisor", "log"), text_or_none),
        **dict.fromkeys(("tree", "made_by"), text),
        "restarts": whole_or_none,
    },
)
"""Reads a death. An earlier version wrote no `said`, no `notes` and no `run_began`."""
