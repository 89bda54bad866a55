"""Events as sentences, for people."""

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

Event = Mapping[str, Any]


def _life(event: Event) -> str:
    return f"{event['id']} #{event['incarnation']}"


def _starting(event: Event) -> str:
    return f"{_life(event)} starting"


def _started(event: Event) -> str:
    pid = f" (pid {event['pid']})" if event.get("pid") else ""
    return f"{_life(event)} started{pid}" + ("" if event.get("ready", True) else ", not ready yet")


def _ready(event: Event) -> str:
    return f"{_life(event)} is ready"


def _stopping(event: Event) -> str:
    return f"{_life(event)} stopping" + (f": {event['why']}" if event.get("why") else "")


def _exited(event: Event) -> str:
    how = event["exit"]
    error = f" ({how['last_error']})" if how.get("last_error") and how["last_error"] not in how["reason"] else ""
    swept = f"; {len(event['swept'])} left-behind processes ended" if event.get("swept") else ""
    return f"{_life(event)} exited: {how['class']}, {how['reason']}{error}{swept}"


def _ignored(event: Event) -> str:
    return f"{_life(event)} was ignored: {event['exit']['reason']}"


def _decided(event: Event) -> str:
    after = f" in {event['delay']:.1f} s" if event["delay"] else ""
    others = [other for other in event["affected"] if other != event["id"]]
    along = f", along with {', '.join(others)}" if others else ""
    return f"{_life(event)}: {event['decision']}{after}{along} ({event['why']})"


def _suspect(event: Event) -> str:
    return f"{_life(event)} " + (f"is suspect: silent for {event['age']:.1f} s" if event["suspect"] else "is heard again")


def _stalled(event: Event) -> str:
    return f"{_life(event)} " + (f"has made no progress for {event['seconds']:.1f} s" if event["seconds"] else "makes progress again")


def _unkillable(event: Event) -> str:
    return f"{_life(event)} is unkillable: {', '.join(map(str, event['pids']))} got SIGKILL and did not die"


def _status(event: Event) -> str:
    return f"{_life(event)} says: {event['status']}"


def _refused(event: Event) -> str:
    return f"{_life(event)} has dropped {event['strangers']} notifications of strangers, and {event['malformed']} that were malformed"


def refusals(refused: Mapping[str, Mapping[str, int]]) -> str:
    """What was refused at each door, counted by reason."""
    doors = (f"{door}: {', '.join(f'{count} {why}' for why, count in sorted(counts.items()))}" for door, counts in sorted(refused.items()))
    return "; ".join(doors)


def _removed(event: Event) -> str:
    return f"{event['id']} removed"


_SENTENCES: dict[str, Callable[[Event], str]] = {
    "starting": _starting,
    "started": _started,
    "ready": _ready,
    "stopping": _stopping,
    "exited": _exited,
    "ignored": _ignored,
    "decided": _decided,
    "suspect": _suspect,
    "stalled": _stalled,
    "unkillable": _unkillable,
    "status": _status,
    "refused": _refused,
    "removed": _removed,
}


def printable(text: str) -> str:
    """A text in which nothing moves the cursor of who reads it, whoever said it."""
    return "".join(character if _is_shown(character) else character.encode("unicode_escape").decode() for character in text)


def _is_shown(character: str) -> bool:
    # Python calls no space printable but one, nor what joins letters in Persian, and the parts of an emoji.
    return character.isprintable() or character in "\u200c\u200d" or unicodedata.category(character) == "Zs"


def sentence(event: Event) -> str:
    """One event in words, without its time."""
    return printable(_sentence(event))


def _sentence(event: Event) -> str:
    kind, _, name = event["event"].partition("_")
    if kind == "tree" and name == "refused":
        return f"the tree has refused so far: {refusals(event['refused'])}"
    if kind == "tree":
        return f"the tree is {name}"
    wording = _SENTENCES.get(name)
    return wording(event) if wording else f"{event.get('id')}: {event['event']}"


def moment(event: Event) -> str:
    """One event in the life of a child, without saying whose."""
    return sentence(event).removeprefix(_life(event)).lstrip(": ")


def line(event: Event) -> str:
    """One event as a line with its time of day (UTC)."""
    return f"{event['at'][11:23]}  {sentence(event)}"
