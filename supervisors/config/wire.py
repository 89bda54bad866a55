"""Child specs as JSON, for the way from a client to the supervisor that starts the child."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, is_dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

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


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


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
    _check_keys(encoded, (*(key for key in _hints(ChildSpec) if key != "start"), *_STARTS), "")
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
    _check_all_keys(encoded, kind, place)
    # As JSON: there an enum is a text and a tuple a list, also where types are read strictly.
    spec = _adapter(kind).validate_json(json.dumps(encoded), strict=True)
    _check_values({key: value for key, value in asdict(spec).items() if key != "config"}, place)
    return spec


def _check_all_keys(encoded: Any, kind: type, place: str) -> None:
    """Raise ValueError for a key that a spec, or one of the specs in it, does not have: pydantic would take no notice of it."""
    hints = _hints(kind)
    _check_keys(encoded, hints, place)
    for key, value in encoded.items():
        below = next((each for each in (hints[key], *get_args(hints[key])) if isinstance(each, type) and is_dataclass(each)), None)
        if below is not None and value is not None:
            _check_all_keys(value, below, _at(place, key))


def _check_keys(encoded: Any, known: Collection[str], place: str) -> None:
    from .config_problems import unknown_key  # noqa: PLC0415  (as above)

    if not isinstance(encoded, dict):
        raise TypeError(f"{place or 'spec'}: must be an object")
    for key in encoded:
        if key not in known:
            short = str(key)[:_SHOWN]
            raise ValueError(f"{_at(place, short)}: {unknown_key(short, known)}")


def _check_values(value: Any, place: str) -> None:
    """Raise ValueError for a time that no clock can count, and for a text that no process can be given."""
    if isinstance(value, float) and not 0 <= value <= _LARGEST:
        raise ValueError(f"{place}: must be from 0 to {_LARGEST:,}")
    if isinstance(value, str) and "\0" in value:
        raise ValueError(f"{place}: must not contain a NUL character")
    if isinstance(value, Mapping):
        for key, below in value.items():
            _check_values(str(key), place)
            _check_values(below, _at(place, str(key)))
    if isinstance(value, tuple):
        for below in value:
            _check_values(below, place)


def _at(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
