"""Where in a TOML text each table and key stands; tomllib does not say."""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Keys = tuple[str, ...]


def lines_of_keys(text: str) -> dict[Keys, int]:
    """The line, counted from 1, at which each table and key of a well-formed TOML text first appears.

    A table or a `key = value` is good TOML by itself exactly when it is whole, so tomllib itself tells where a statement of several
    lines ends, and what keys it sets.
    """
    lines: dict[Keys, int] = {}
    table: Keys = ()
    statement, start = "", 0
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        # Only these can end a statement of several lines; "}" since TOML 1.1.
        if statement and not any(end in line for end in ('"""', "'''", "]", "}")):
            statement += "\n" + line
            continue
        if not statement:
            start = number
        statement = f"{statement}\n{line}" if statement else line
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        is_header = statement.lstrip(" \t").startswith("[")
        paths = list(_paths(parsed))
        for path in paths:
            lines.setdefault(path if is_header else (*table, *path), start)
        if is_header:
            table = paths[-1]
        statement = ""
    return lines


def _paths(value: Mapping[str, Any], above: Keys = ()) -> Iterator[Keys]:
    for key, below in value.items():
        path = (*above, key)
        yield path
        if isinstance(below, list) and below and isinstance(below[0], Mapping):
            below = below[0]  # noqa: PLW2901 (an array of tables is found at its first)
        if isinstance(below, Mapping):
            yield from _paths(below, path)
