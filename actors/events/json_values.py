"""Reading JSON that somebody may have edited: the values, and whether they are of the types that were written."""

import json
from collections.abc import Callable, Mapping
from typing import Any

_MOST_DEPTH = 100
_MOST_DIGITS = 19

Reader = Callable[[Any], Any]
"""Returns what a JSON value stands for; raises KeyError, TypeError or ValueError when it is of another type."""


def read_json(data: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError, also for what no JSON of ours holds: NaN, a number without end, very deep nesting."""
    try:
        value = with_strict_numbers(data, _MOST_DIGITS)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    level = [value]
    for _ in range(_MOST_DEPTH):
        level = [below for each in level for below in _below(each)]
        if not level:
            return value
    raise ValueError("it is nested too deep")


def _below(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


class OddNumber(ValueError):
    """A number that JSON permits, or Python's reader of it, and we do not."""


def with_strict_numbers(data: str | bytes, most_digits: int, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """As `json.loads`, but raise OddNumber for NaN, for what no float holds, and for a whole number of more digits.

    `pairs` makes an object of its keys and values.
    """

    def parse_int(text: str) -> int:
        if len(text.lstrip("-")) > most_digits:
            raise OddNumber(f"a whole number has more than {most_digits} digits")
        return int(text)

    return json.loads(data, object_pairs_hook=pairs, parse_constant=_refuse, parse_int=parse_int, parse_float=_parse_float)


def _refuse(name: str) -> Any:
    raise OddNumber(f"{name} is no number of JSON")


def _parse_float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise OddNumber("a number is too large")
    return number


def of_type(*types: type) -> Reader:
    """A reader of values of these types."""

    def read(value: Any) -> Any:
        # In Python a bool is an int.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise TypeError(f"{value!r} is no {types[0].__name__}")
        return value

    return read


def or_none(read: Reader) -> Reader:
    """The same, or null."""
    return lambda value: None if value is None else read(value)


def each(read: Reader) -> Reader:
    """A reader of arrays, as tuples."""
    return lambda value: tuple(map(read, a_list(value)))


def by_name(read: Reader, name: Reader | None = None) -> Reader:
    """A reader of objects with any names."""
    return lambda value: {(name or text)(key): read(of) for key, of in mapping(value).items()}


def record(needed: Mapping[str, Reader], optional: Mapping[str, Reader] | None = None) -> Reader:
    """A reader of objects with these fields, and perhaps with others, which are not looked at."""

    def read(value: Any) -> Any:
        found = mapping(value)
        for name, reads in needed.items():
            reads(found[name])
        for name, reads in (optional or {}).items():
            if name in found:
                reads(found[name])
        return value

    return read


text, whole, number, boolean = of_type(str), of_type(int), of_type(float, int), of_type(bool)
a_list, mapping = of_type(list, tuple), of_type(Mapping)
text_or_none, whole_or_none, number_or_none = or_none(text), or_none(whole), or_none(number)
