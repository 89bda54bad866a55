"""Reads one configuration table through its model; the text of each fault says what would be right."""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import isclass
from typing import Any, ClassVar, NamedTuple, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from suptree.actors.errors import SpecError

Path = tuple[str | int, ...]

# Words that other tools use for the same thing.
SYNONYMS = {
    "cmd": "command",
    "dir": "cwd",
    "environment": "env",
    "executable": "command",
    "intensity": "max_restarts",
    "parent": "supervisor",
    "period": "within",
    "program": "command",
    "workdir": "cwd",
    "working_dir": "cwd",
    "working_directory": "cwd",
}

KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "a string"),
    ((list, tuple), "a list"),
    (Mapping, "a table"),
    (type(None), "nothing"),
)

# What the value should have been, by pydantic's error type. The value itself is not repeated: it may be a secret of `env`.
WANTED_KIND = {
    "bool_type": "true or false",
    "dict_type": "a table",
    "float_type": "a number",
    "int_type": "a whole number",
    "model_attributes_type": "a table",
    "model_type": "a table",
    "string_type": "a string",
    "tuple_type": "a list",
}

WANTED_RANGE = {
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:,g} or less",
    "finite_number": "must be a finite number",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: the keys that lead to it from the top of the configuration, and what is wrong and would be right."""

    path: Path
    what: str

    def below(self, *parents: str) -> "Problem":
        """The same fault, in a table that stands under `parents`."""
        return Problem((*parents, *self.path), self.what)

    @property
    def place(self) -> str:
        """The path as people write it: `agents.coder.args[2]`."""
        place = ""
        for key in self.path:
            if isinstance(key, int):
                place += f"[{key}]"
            else:
                place += ("." if place else "") + (key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False))
        return place


class Rule(NamedTuple):
    """A fault that takes more than one key to see.

    It looks at `keys`, stands at the first of them, and is not judged when one of them was refused already.
    """

    keys: tuple[str, ...]
    broken: Callable[[Any], bool]
    what: str


class Table(BaseModel):
    """A table of the configuration. Every key has a default, so a table without its faulty keys can still be judged by its rules."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    hints: ClassVar[Mapping[str, str]] = {}
    """What to say of keys that do not belong here but that people will try."""
    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def read(cls, raw: Mapping[str, Any], context: Mapping[str, Any] | None = None) -> tuple[Self, list[Problem]]:
        """The table with its good keys, and everything that is wrong with `raw`."""
        problems: list[Problem] = []
        good = dict(raw)
        try:
            table = cls.model_validate(good, context=context)
        except ValidationError as error:
            problems = [Problem(_path(details), _what(cls, details)) for details in error.errors(include_url=False)]
            for problem in problems:
                good = {key: value for key, value in good.items() if str(key) != str(problem.path[0])}
            table = cls.model_validate(good, context=context)
        refused = {problem.path[0] for problem in problems}
        problems += [Problem(rule.keys[:1], rule.what) for rule in cls.rules if refused.isdisjoint(rule.keys) and rule.broken(table)]
        return table, problems

    def given(self, *keys: str) -> bool:
        """Whether any of these keys stands in the table, whatever its value."""
        return not self.model_fields_set.isdisjoint(keys)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "permanent"?` when one of `known` is near, else nothing."""
    known = list(known)
    near = [SYNONYMS[word]] if SYNONYMS.get(word) in known else difflib.get_close_matches(word, known, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def unknown_key(key: str, known: Iterable[str], kind: str = "key") -> str:
    """What to say of a key that nobody knows: the nearest known one, or all of them."""
    known = list(known)
    return f"unknown {kind}{did_you_mean(key, known) or ': known are ' + ', '.join(known)}"


def kind_of(value: object) -> str:
    """What sort of value it is, in the words of TOML."""
    return next((name for types, name in KINDS if isinstance(value, types)), f"a {type(value).__name__}")


def wrong_kind(wanted: str, value: object) -> ValueError:
    """The error for a value of the wrong sort; pydantic wants a ValueError, also where Python would raise a TypeError."""
    return ValueError(f"must be {wanted}, not {kind_of(value)}")


def _path(details: ErrorDetails) -> Path:
    return tuple(key for key in details["loc"] if key != "[key]")  # pydantic's mark for the key of an entry, not its value


def _what(model: type[Table], details: ErrorDetails) -> str:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        key, table = str(details["loc"][-1]), _table_at(model, details["loc"][:-1])
        what = table.hints.get(key) or unknown_key(key, table.model_fields)
    elif kind == "enum":
        what = not_one_of(value, re.findall(r"'([^']*)'", context["expected"]))
    elif kind == "float_type" and kind_of(value) == "a whole number":
        what = "is too large"
    elif kind in WANTED_KIND:
        what = f"must be {WANTED_KIND[kind]}, not {kind_of(value)}"
    elif kind in WANTED_RANGE:
        what = f"{WANTED_RANGE[kind].format_map(context)}, not {value}"
    elif kind == "value_error":
        what = str(context["error"])
        what = what.partition(": ")[2] if isinstance(context["error"], SpecError) else what
    else:
        what = details["msg"]
    return what


def not_one_of(value: object, allowed: Sequence[str]) -> str:
    """What to say of a value that is none of the allowed ones."""
    choices = ", ".join(f'"{choice}"' for choice in allowed)
    if not isinstance(value, str):
        return f"must be one of {choices}, not {kind_of(value)}"
    return f"must be one of {choices}, not {json.dumps(value, ensure_ascii=False)}{did_you_mean(value, allowed)}"


def _table_at(model: type[Table], path: Path) -> type[Table]:
    for key in path:
        annotation = model.model_fields[str(key)].annotation
        model = next(t for t in (annotation, *get_args(annotation)) if isclass(t) and issubclass(t, Table))
    return model
