"""Child specs as JSON, for the way from a client to the supervisor that starts the child."""

from functools import cache
from typing import TYPE_CHECKING, Any

from suptree.actors.agent_spec import AgentSpec

from .child_spec import ChildSpec

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@cache
def _agents() -> "TypeAdapter[AgentSpec]":
    # Imported here: most supervisors never need it, and every actor would inherit its memory.
    from pydantic import TypeAdapter  # noqa: PLC0415

    return TypeAdapter(AgentSpec)


@cache
def _children() -> "TypeAdapter[ChildSpec]":
    from pydantic import TypeAdapter  # noqa: PLC0415

    return TypeAdapter(ChildSpec)


def encode_child(spec: ChildSpec) -> dict[str, Any]:
    """A child spec of an agent as plain JSON values."""
    encoded: dict[str, Any] = _children().dump_python(spec, mode="json", exclude={"start"})
    return {**encoded, "start": _agents().dump_python(spec.start, mode="json")}


def decode_child(encoded: dict[str, Any]) -> ChildSpec:
    """The child spec behind such values; pydantic's ValidationError when they are none."""
    return _children().validate_python({**encoded, "start": _agents().validate_python(encoded["start"])})
