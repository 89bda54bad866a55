"""What a request says, read strictly: JSON bodies within bounds, and query parameters of the right kind."""

import asyncio
import json
from collections.abc import Collection, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from suptree.actors.events.json_values import OddNumber, with_strict_numbers

from ..time_limits import LONGEST

BODY_LIMIT = 1024 * 1024
ROOM_FOR_BODIES = 16 * 1024 * 1024
"""Bytes that all bodies together may take while they are read."""
MOST_DEPTH = 32
_MOST_DIGITS = 18
_PARSED_IN_A_THREAD = 64 * 1024
_BOOLEANS = {"true": True, "false": False}


class Seconds(float):
    """The kind of a key that holds a time limit."""


class Bodies:
    """Reads bodies, all together in bounded room."""

    def __init__(self) -> None:
        self._held = 0

    async def read(self, request: Request, limit: int = BODY_LIMIT) -> Any:
        """The value of a JSON body; an empty object when there is none. Raises HTTPException: 400, 413, 503."""
        declared = request.headers.get("content-length", "0")
        if len(declared) > _MOST_DIGITS or int(declared) > limit:
            raise _too_large(limit)
        data = bytearray()
        try:
            async for part in request.stream():
                if len(data) + len(part) > limit:
                    raise _too_large(limit)
                if self._held + len(part) > ROOM_FOR_BODIES:
                    raise HTTPException(503, "too many large bodies at the same time; try again")
                data += part
                self._held += len(part)
            parse = parse_json if len(data) <= _PARSED_IN_A_THREAD else _parse_in_thread
            found = parse(bytes(data)) if data else {}
            return await found if asyncio.iscoroutine(found) else found
        finally:
            self._held -= len(data)


async def _parse_in_thread(data: bytes) -> Any:
    return await asyncio.to_thread(parse_json, data)


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the body must be at most {limit} bytes")


def parse_json(data: bytes) -> Any:
    """The value of a JSON text that holds nothing odd: no NaN, no key twice, no lone surrogates, no depth or number without end."""
    try:
        value = with_strict_numbers(data.decode("utf-8"), _MOST_DIGITS, _each_once)
        _check(value)
    except (_Odd, OddNumber) as error:
        raise HTTPException(400, f"the body is not acceptable JSON: {error}") from None
    except UnicodeDecodeError:
        raise HTTPException(400, "the body is not UTF-8") from None
    except RecursionError:
        raise HTTPException(400, f"the body is nested more than {MOST_DEPTH} deep") from None
    except json.JSONDecodeError as error:
        raise HTTPException(400, f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    return value


class _Odd(Exception):
    """What JSON permits, or Python's reader of it, and we do not."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Odd("duplicate key in an object")
    return found


def _check(value: Any, depth: int = 0) -> None:
    if depth > MOST_DEPTH:
        raise RecursionError
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _Odd("a text holds half of a surrogate pair") from None
    elif isinstance(value, dict):
        for key, below in value.items():
            _check(key, depth)
            _check(below, depth + 1)
    elif isinstance(value, list):
        for below in value:
            _check(below, depth + 1)


def expect(body: Any, what: str, needed: Collection[str] = (), /, **kinds: type) -> dict[str, Any]:
    """A body that is an object with no keys but these, `needed` ones among them, each of its kind. HTTPException says `what` it must be."""
    faults = []
    if isinstance(body, dict):
        faults += [f"unknown key {key[:64]!r}" for key in body if key not in kinds]
        faults += [f"{key} is missing" for key in needed if key not in body]
        faults += [f"{key} must be {_NAMES[kind]}" for key, kind in kinds.items() if key in body and not _is(body[key], kind)]
    else:
        faults.append("it must be an object")
    if faults:
        raise HTTPException(400, f"{what}: {'; '.join(faults)}")
    return dict(body)


_NAMES: Mapping[type, str] = {
    str: "a text",
    bool: "true or false",
    dict: "an object",
    Seconds: f"a number of seconds above 0, and at most {LONGEST:g}",
}


def _is(value: Any, kind: type) -> bool:
    if kind is Seconds:
        return type(value) in (int, float) and 0 < value <= LONGEST
    return type(value) is kind


def whole_number(request: Request, name: str, default: int, most: int) -> int:
    """A query parameter that is a whole number from 0 to `most`."""
    text = _once(request, name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) <= most):
        raise HTTPException(400, f"{name} must be a whole number from 0 to {most}")
    return int(text)


def boolean(request: Request, name: str, default: bool) -> bool:
    """A query parameter that is `true` or `false`."""
    text = _once(request, name)
    if text is not None and text not in _BOOLEANS:
        raise HTTPException(400, f"{name} must be true or false")
    return default if text is None else _BOOLEANS[text]


def text(request: Request, name: str, default: str, most: int) -> str:
    """A query parameter of at most `most` characters."""
    found = _once(request, name)
    if found is not None and (len(found) > most or "\0" in found):
        raise HTTPException(400, f"{name} must be a text of at most {most} characters, without NUL")
    return default if found is None else found


def only(request: Request, *names: str) -> None:
    """Raise HTTPException when there is a query parameter of another name."""
    if unknown := [name for name in request.query_params if name not in names]:
        known = f" (there are {', '.join(names)})" if names else ""
        raise HTTPException(400, f"no such parameter: {unknown[0][:64]}{known}")


def _once(request: Request, name: str) -> str | None:
    found = request.query_params.getlist(name)
    if len(found) > 1:
        raise HTTPException(400, f"{name} is given twice")
    return found[0] if found else None
