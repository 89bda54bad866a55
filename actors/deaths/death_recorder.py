"""Who died, heard from the events: it keeps what led to each death, and writes the post-mortems."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

import structlog

from ..events.wording import moment
from ..exits import ExitClass
from ..output.output_log import log_path
from . import post_mortem_files as files
from .evidence import Evidence, evidence_in_log
from .post_mortem import Death

log = structlog.get_logger()

_FIRST, _LAST = 4, 26
_WANTED = (ExitClass.NORMAL, ExitClass.SHUTDOWN)
_DECISION = ("decision", "why", "delay", "affected", "restarts_left", "at")

Event = Mapping[str, Any]


@dataclass(slots=True)
class _Life:
    """One incarnation so far."""

    incarnation: int
    described: Event = field(default_factory=dict)
    timeline: list[dict[str, str]] = field(default_factory=list)
    death: Death | None = None

    def add(self, event: Event) -> None:
        """Keep an event in words; of very many the first and the last ones."""
        self.timeline.append({"at": event["at"], "text": moment(event)})
        if len(self.timeline) > _FIRST + _LAST:
            del self.timeline[_FIRST]


class Deaths:
    """Hears every event of a tree once, in order."""

    def __init__(self, tree: str, state_dir: str) -> None:
        self._tree = tree
        self._state_dir = state_dir
        self._lives: dict[str, _Life] = {}

    def remember(self, event: Event) -> None:
        """Take in an event that was dealt with before."""
        self._hear(event)

    def hear(self, event: Event) -> None:
        """Take in an event; write a post-mortem when it tells of an unwanted end, and complete it when it tells what was decided."""
        life = self._hear(event)
        if life is not None and life.death is not None and event["event"].endswith(("_exited", "_decided")):
            try:
                files.write(self._state_dir, life.death)
            except OSError as error:
                log.warning("post_mortem_not_written", id=event["id"], incarnation=life.incarnation, error=str(error))

    def ended_below(self, row: Mapping[str, Any], event: Event) -> None:
        """Take in that a child ended because the supervisor above it did: nobody else is left to tell of it."""
        told = {key: row[key] for key in ("id", "incarnation", "supervisor")}
        self.hear({**told, "event": f"{row['kind']}_exited", "at": event["at"], "monotonic": event["monotonic"], "exit": row["last_exit"]})

    def _hear(self, event: Event) -> _Life | None:
        child, incarnation = event.get("id"), event.get("incarnation")
        if child is None or incarnation is None:
            if event["event"].endswith("_removed"):
                self._lives.pop(str(child), None)
            return None
        kind, _, name = event["event"].partition("_")
        life = self._lives.get(child)
        if life is None or life.incarnation < incarnation or name == "starting":
            life = self._lives[child] = _Life(incarnation)
        if incarnation < life.incarnation:
            return None
        if name == "starting":
            life.described = {key: value for key, value in event.items() if key in ("type", "config", "restarts", "monotonic")}
        life.add(event)
        if name == "exited" and event["exit"]["class"] not in _WANTED:
            life.death = self._death(kind, life, event)
        elif name == "decided" and life.death is not None:
            decision = {key: event.get(key) for key in _DECISION}
            life.death = {**life.death, "timeline": list(life.timeline), "decision": decision}
        return life

    def _death(self, kind: str, life: _Life, event: Event) -> Death:
        begun = life.described.get("monotonic")
        return {
            "id": event["id"],
            "kind": kind,
            "type": life.described.get("type"),
            "incarnation": life.incarnation,
            "restarts": life.described.get("restarts"),
            "tree": self._tree,
            "supervisor": event["supervisor"],
            "at": event["at"],
            "lifetime": None if begun is None else round(event["monotonic"] - begun, 3),
            "exit": event["exit"],
            "config": life.described.get("config", {}),
            "timeline": list(life.timeline),
            "evidence": event.get("evidence") or self._kept(event) or self._evidence_in_log(kind, event),
            "decision": None,
            "made_by": _made_by(),
            "log": str(log_path(self._state_dir, event["id"])) if kind == "agent" else None,
        }

    def _kept(self, event: Event) -> Any:
        """The evidence that an earlier registry wrote down: it is not in the journal."""
        for place in files.places(self._state_dir, event["id"]):
            if place.incarnation == event["incarnation"] and (death := place.read()) and death["at"] == event["at"]:
                return death["evidence"]
        return None

    def _evidence_in_log(self, kind: str, event: Event) -> dict[str, Any]:
        return asdict(evidence_in_log(log_path(self._state_dir, event["id"]), event["incarnation"]) if kind == "agent" else Evidence())


@cache
def _made_by() -> str:
    return f"suptree {version('suptree')}, Python {platform.python_version()}, {platform.system()} {platform.release()}"
