"""An entry of the journal: one event, and when and by whom it was reported; and its JSON object, the only form that leaves an actor."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from ..errors import UnknownEvent
from ..exits import CAUSE_IDS, CauseId, Exit, ExitClass
from .event_types import BY_EVENT_NAME, EVENT_TYPES, Event, Exited, Ignored, TreeEvent, event_name
from .json_values import Reader, boolean, by_name, each, number, or_none, text, text_or_none, whole, whole_or_none


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event as it was reported: `source` and `serial` say which one it is, however often it is sent; `monotonic` is in seconds.

    `evidence` comes with the end of a child, for its post-mortem; it is in no JSON object. `seq` is the number of the event in its run,
    which the registry gives it: 0 before that.
    """

    event: Event
    supervisor: str | None
    at: str
    monotonic: float
    source: str
    serial: int
    evidence: Mapping[str, Any] | None = None
    seq: int = 0


def entry_now(event: Event, supervisor: str | None, *, source: str, serial: int, evidence: Mapping[str, Any] | None = None) -> Entry:
    """The entry of an event that has just happened."""
    return Entry(
        event=event, supervisor=supervisor, at=time_of_day(), monotonic=time.monotonic(), source=source, serial=serial, evidence=evidence
    )


def time_of_day() -> str:
    """Now, in UTC, to the millisecond (ISO 8601)."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(entry: Entry) -> dict[str, Any]:
    """The JSON object of an entry: for the journal, the API and its clients."""
    event = entry.event
    return {
        "event": event_name(type(event), event.kind),
        "name": event.name,
        "id": None,
        "supervisor": entry.supervisor,
        "at": entry.at,
        "monotonic": entry.monotonic,
        "source": entry.source,
        "serial": entry.serial,
        **{name: list(value) if isinstance(value, tuple) else value for name, value in asdict(event).items()},
        **({"exit": exit_as_json(event.exit)} if isinstance(event, Exited | Ignored) else {}),
        "kind": event.kind.value,
    }


def decode(said: Mapping[str, Any]) -> Entry:
    """The entry behind a JSON object; UnknownEvent when it is none, or of a type that this version does not know.

    What the type has no field for is left out; a field that is missing, or not of its type, is refused.
    """
    found = BY_EVENT_NAME.get(str(said.get("event")))
    if found is None:
        raise UnknownEvent(f"{said.get('event')!r} is no event that this version knows: see docs/events.md")
    event_type, kind = found
    values: dict[str, Any] = {} if issubclass(event_type, TreeEvent) else {"kind": kind}
    field_name = ""
    try:
        for field_name, read in _READERS[event_type].items():
            if field_name in said and field_name != "kind":
                values[field_name] = read(said[field_name])
        field_name = "the entry"
        return Entry(
            event=event_type(**values),
            supervisor=text_or_none(said.get("supervisor")),
            at=text(said["at"]),
            monotonic=number(said["monotonic"]),
            source=text(said.get("source", "")),
            serial=whole(said.get("serial", 0)),
            seq=whole(said.get("seq", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnknownEvent(f"{said['event']}: {field_name} is not as docs/events.md says: {error}") from None


def exit_as_json(how: Exit) -> dict[str, Any]:
    """The JSON object of an exit."""
    return {
        "class": how.exit_class.value,
        "reason": how.reason,
        "last_error": how.last_error,
        "during_start": how.during_start,
        "cause": None if how.cause is None else how.cause.value,
        "signal": how.signal,
        "code": how.code,
    }


def exit_from_json(said: Mapping[str, Any]) -> Exit:
    """The exit behind a JSON object; one that an earlier version wrote has no `cause`, and one of a later version may have another."""
    exit_class, cause = ExitClass(said["class"]), said.get("cause")
    return Exit(
        exit_class,
        str(said["reason"]),
        said.get("last_error"),
        during_start=said.get("during_start", False),
        cause=CauseId(cause) if cause in CAUSE_IDS else None,
        signal=whole_or_none(said.get("signal")),
        code=whole_or_none(said.get("code")),
    )


def _reader(hint: Any) -> Reader:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (wanted,) = (argument for argument in arguments if argument is not NoneType)
        return or_none(_reader(wanted))
    if origin is tuple:
        return each(_reader(arguments[0]))
    if origin is not None:
        name, of_value = map(_reader, arguments)
        return by_name(of_value, name)
    plain: Reader = _PLAIN.get(hint, hint)  # An enum reads itself.
    return plain


_PLAIN: dict[Any, Reader] = {Any: lambda value: value, str: text, int: whole, float: number, bool: boolean, Exit: exit_from_json}


def _readers(event_type: type[Event]) -> dict[str, Reader]:
    hints = get_type_hints(event_type)
    return {field.name: _reader(hints[field.name]) for field in fields(event_type)}


_READERS: dict[type, dict[str, Reader]] = {event_type: _readers(event_type) for event_type in EVENT_TYPES}
"""What reads each field of each type."""
