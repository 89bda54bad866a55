"""What a person can do about a death: what its cause says, and what its circumstances say."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..exits import ExitClass
from .causes import Cause

# A program that wants input finds the end of it immediately, and ends.
_SOON = 1.0

# This decides nothing: it is what people see in the output, and what they have to look up.
_LIMIT = re.compile(r"usage limit|rate.?limit|quota|too many requests|(?<![\d.])429(?![\d.])", re.IGNORECASE)


def advice(death: Mapping[str, Any], cause: Cause) -> list[str]:
    """Sentences for a person, the most telling first."""
    return [*_from_circumstances(death), cause.advice]


def _from_circumstances(death: Mapping[str, Any]) -> Iterator[str]:
    if wants_stdin(death):
        yield STDIN
    how = death["exit"]
    if how["class"] == ExitClass.FAILED and how.get("code") and any(map(_LIMIT.search, _last_said(death))):
        yield (
            f'Its last words speak of a limit: if exit {how["code"]} means that, say exit_codes = {{ {how["code"]} = "quota" }} '
            "and park = true: it then waits, which costs no restart."
        )


STDIN = (
    'It ended within a second, and its stdin is /dev/null: a program that reads its input, as a stdio server does, may want stdin = "pipe".'
)


def wants_stdin(death: Mapping[str, Any]) -> bool:
    """Whether a program ended as one does that finds its input at an end."""
    config, lifetime = death["config"], death["lifetime"]
    by_itself = death["exit"]["class"] in (ExitClass.NORMAL, ExitClass.FAILED)
    return bool(by_itself and config.get("command") and config.get("stdin") == "null" and lifetime is not None and lifetime < _SOON)


def _last_said(death: Mapping[str, Any]) -> list[str]:
    evidence = death["evidence"]
    return [*evidence["err"][-5:], *evidence["out"][-5:]]
