"""Child specs as JSON, for the way from a client to the supervisor that starts the child."""

from functools import cache
from typing import TYPE_CHECKING, Any

from suptree.actors.spec.agent_spec import AgentSpec

from ..spec.child_spec import INFINITY, ChildSpec, SupervisorFlags
from ..spec.tree_spec import SupervisorSpec

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@cache
def _adapter(kind: Any) -> "TypeAdapter[Any]":
    # Imported here: most supervisors never need it, and every actor would inherit its memory.
    from pydantic import TypeAdapter  # noqa: PLC0415

    return TypeAdapter(kind)


def _encode(value: Any, kind: Any, **options: Any) -> dict[str, Any]:
    encoded: dict[str, Any] = _adapter(kind).dump_python(value, mode="json", **options)
    return encoded


def encode_child(spec: ChildSpec) -> dict[str, Any]:
    """The child spec of an agent, or of a supervisor with all below, as plain JSON values."""
    encoded = _encode(spec, ChildSpec, exclude={"start"})
    if spec.shutdown == INFINITY:
        # JSON has no number for it.
        encoded["shutdown"] = "infinity"
    start = spec.start
    if isinstance(start, SupervisorSpec):
        children = [encode_child(child) for child in start.children]
        return {**encoded, "supervisor": {"id": start.id, "flags": _encode(start.flags, SupervisorFlags), "children": children}}
    return {**encoded, "agent": _encode(start, AgentSpec)}


def decode_child(encoded: dict[str, Any]) -> ChildSpec:
    """The child spec behind such values; pydantic's ValidationError, KeyError or TypeError when they are none."""
    rest = {key: value for key, value in encoded.items() if key not in ("agent", "supervisor")}
    if rest.get("shutdown") == "infinity":
        rest["shutdown"] = INFINITY
    start: AgentSpec | SupervisorSpec
    if "supervisor" in encoded:
        supervisor = encoded["supervisor"]
        flags: SupervisorFlags = _adapter(SupervisorFlags).validate_python(supervisor["flags"])
        start = SupervisorSpec(id=supervisor["id"], flags=flags, children=tuple(map(decode_child, supervisor["children"])))
    else:
        start = _adapter(AgentSpec).validate_python(encoded["agent"])
    spec: ChildSpec = _adapter(ChildSpec).validate_python({**rest, "start": start})
    return spec
