"""Child specs as JSON, for the way from a client to the supervisor that starts the child."""

import json
from collections.abc import Collection
from dataclasses import is_dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_type_hints

from suptree.actors.spec.agent_spec import AgentSpec

from ..spec.child_spec import INFINITY, MOST_SECONDS, ChildSpec, SupervisorFlags
from ..spec.tree_spec import SupervisorSpec

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_INFINITY = "infinity"
_STARTS = ("agent", "supervisor")
_OF_SUPERVISOR = ("id", "flags", "children")
_LARGEST = 10 * MOST_SECONDS
"""What follows from several times of a tree file is at most that much."""
_SHOWN = 64


@cache
def _adapter(kind: Any) -> "TypeAdapter[Any]":
    # Imported here: most supervisors never need it, and every actor would inherit its memory.
    from pydantic import TypeAdapter  # noqa: PLC0415

    return TypeAdapter(kind)


class _Field(NamedTuple):
    below: type | None
    """The spec that it holds, if it holds one."""
    is_time: bool


@cache
def _fields(kind: Any) -> dict[str, _Field]:
    found = {}
    for name, hint in get_type_hints(kind).items():
        kinds = (hint, *get_args(hint))
        found[name] = _Field(next((each for each in kinds if isinstance(each, type) and is_dataclass(each)), None), float in kinds)
    return found


def _encode(value: Any, kind: Any, **options: Any) -> dict[str, Any]:
    encoded: dict[str, Any] = _adapter(kind).dump_python(value, mode="json", **options)
    return encoded


def encode_child(spec: ChildSpec) -> dict[str, Any]:
    """The child spec of an agent, or of a supervisor with all below, as plain JSON values."""
    encoded = _encode(spec, ChildSpec, exclude={"start"})
    if spec.shutdown == INFINITY:
        # JSON has no number for it.
        encoded["shutdown"] = _INFINITY
    start = spec.start
    if isinstance(start, SupervisorSpec):
        children = [encode_child(child) for child in start.children]
        return {**encoded, "supervisor": {"id": start.id, "flags": _encode(start.flags, SupervisorFlags), "children": children}}
    return {**encoded, "agent": _encode(start, AgentSpec)}


def decode_child(encoded: Any) -> ChildSpec:
    """The child spec behind such values; ValueError (pydantic's ValidationError is one), KeyError or TypeError when they are none.

    Nothing is guessed: an unknown key, or a value of another type, may be a mistake in what confines an agent.
    """
    _check_keys(encoded, (*(key for key in _fields(ChildSpec) if key != "start"), *_STARTS), "")
    if len(given := [key for key in _STARTS if key in encoded]) != 1:
        raise ValueError("supervisor: a child is an agent or a supervisor, not both" if given else "agent: is missing")
    start: AgentSpec | SupervisorSpec
    start = _decode_supervisor(encoded["supervisor"]) if "supervisor" in encoded else _decode(encoded["agent"], AgentSpec, "agent")
    rest = {key: value for key, value in encoded.items() if key not in _STARTS}
    for_ever = rest.get("shutdown") == _INFINITY
    spec: ChildSpec = _decode({**rest, "shutdown": 0} if for_ever else rest, ChildSpec)
    return replace(spec, start=start, shutdown=INFINITY if for_ever else spec.shutdown)


def _decode_supervisor(encoded: Any) -> SupervisorSpec:
    _check_keys(encoded, _OF_SUPERVISOR, "supervisor")
    children = encoded["children"]
    if not isinstance(children, list):
        raise TypeError("supervisor.children: must be a list")
    flags: SupervisorFlags = _decode(encoded["flags"], SupervisorFlags, "supervisor.flags")
    return SupervisorSpec(id=encoded["id"], flags=flags, children=tuple(map(decode_child, children)))


def _decode(encoded: Any, kind: Any, place: str = "") -> Any:
    """A spec of that kind, without the specs of children."""
    # As JSON: there an enum is a text and a tuple a list, also where types are read strictly.
    spec = _adapter(kind).validate_json(json.dumps(encoded), strict=True)
    _check(encoded, kind, place)
    return spec


def _check(encoded: Any, kind: type, place: str) -> None:
    """Raise ValueError, or TypeError, for what pydantic does not see.

    That is a key that a spec does not have, or one of the specs in it; a time that no clock can count; a text that no process can be given.
    """
    fields = _fields(kind)
    _check_keys(encoded, fields, place)
    for key, value in encoded.items():
        field, here = fields[key], _at(place, key)
        if field.below is not None and value is not None:
            _check(value, field.below, here)
        elif field.is_time and isinstance(value, int | float) and not 0 <= value <= _LARGEST:
            raise ValueError(f"{here}: must be from 0 to {_LARGEST:,}")
        elif key != "config" and _has_nul(value):
            raise ValueError(f"{here}: must not contain a NUL character")


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_nul, value)) or any(map(_has_nul, value.values()))
    return any(map(_has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def _check_keys(encoded: Any, known: Collection[str], place: str) -> None:
    from .config_problems import unknown_key  # noqa: PLC0415  (as above)

    if not isinstance(encoded, dict):
        raise TypeError(f"{place or 'spec'}: must be an object")
    for key in encoded:
        if key not in known:
            short = str(key)[:_SHOWN]
            raise ValueError(f"{_at(place, short)}: {unknown_key(short, known)}")


def _at(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
