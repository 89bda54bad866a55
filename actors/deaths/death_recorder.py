"""Who died, heard from the events: it keeps what led to each death, and writes the post-mortems."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.metadata import version
from typing import Any

from ..events.entry import Entry, encode, exit_as_json, exit_from_json
from ..events.event_types import ChildEvent, Decided, Deleted, Exited, Kind, Starting
from ..events.wording import moment
from ..exits import ExitClass
from ..kernel.lossy_file import Losses
from ..output.output_log import log_path
from . import post_mortem_files as files
from .evidence import Evidence, evidence_in_log
from .post_mortem import Death
from .what_follows import NOT_WANTED

_FIRST, _LAST = 4, 26
_DECISION = ("decision", "why", "delay", "affected", "restarts_left", "at")


@dataclass(slots=True)
class _Life:
    """One incarnation so far."""

    incarnation: int
    described: Mapping[str, Any] = field(default_factory=dict)
    timeline: list[dict[str, str]] = field(default_factory=list)
    end: Death | None = None
    death: Death | None = None
    """Its end, where that was not wanted."""

    def add(self, entry: Entry) -> None:
        """Keep an event in words; of very many the first and the last ones."""
        self.timeline.append({"at": entry.at, "text": moment(entry.event)})
        if len(self.timeline) > _FIRST + _LAST:
            del self.timeline[_FIRST]


class Deaths:
    """Hears every event of a tree once, in order."""

    def __init__(self, tree: str, state_dir: str, run_began: str = "") -> None:
        self._tree = tree
        self._run_began = run_began
        self._state_dir = state_dir
        self._lives: dict[str, _Life] = {}
        self._losses = Losses(f"post-mortems in {files.folder(state_dir)}")

    def remember(self, entry: Entry) -> None:
        """Take in an event that an earlier registry has dealt with."""
        self._hear(entry)

    def hear(self, entry: Entry) -> None:
        """Take in an event; write a post-mortem when it is an unwanted end, and complete it when it is what was decided then."""
        life = self._hear(entry)
        if life is not None and life.death is not None and isinstance(entry.event, Exited | Decided):
            try:
                files.write(self._state_dir, life.death)
            except OSError as error:
                self._losses.add(error, 1)
            else:
                self._losses.over()

    def ended_below(self, row: Mapping[str, Any], entry: Entry) -> None:
        """Take in that a child ended because the supervisor above it did: no supervisor is left that could report it."""
        end = Exited(Kind(row["kind"]), row["id"], row["incarnation"], exit=exit_from_json(row["last_exit"]))
        self.hear(replace(entry, event=end, supervisor=row["supervisor"], evidence=None))

    def forget(self, child: str) -> None:
        """Let go of what led to the last death of a child: it was deleted."""
        self._lives.pop(child, None)

    def _hear(self, entry: Entry) -> _Life | None:
        event = entry.event
        if isinstance(event, Deleted):
            self.forget(event.id)
        if not isinstance(event, ChildEvent) or isinstance(event, Deleted):
            return None
        life = self._lives.get(event.id)
        if life is None or life.incarnation < event.incarnation or isinstance(event, Starting):
            life = self._lives[event.id] = _Life(event.incarnation)
        if event.incarnation < life.incarnation:
            return None
        life.add(entry)
        if (take := _TAKEN_BY.get(type(event))) is not None:
            take(self, life, event, entry)
        return life

    def _starting(self, life: _Life, event: Starting, entry: Entry) -> None:
        life.described = {"type": event.type, "config": event.config, "restarts": event.restarts, "monotonic": entry.monotonic}

    def _exited(self, life: _Life, event: Exited, entry: Entry) -> None:
        life.end = None if event.exit.exit_class is ExitClass.SHUTDOWN else self._death(life, event, entry)
        if not event.exit.is_normal:
            life.death = self._with_evidence(life.end)

    def _decided(self, life: _Life, event: Decided, entry: Entry) -> None:
        if event.decision in NOT_WANTED:
            # It finished its work, and was not to end.
            life.death = life.death or self._with_evidence(life.end)
        if life.death is not None:
            said = encode(entry)
            life.death = {**life.death, "timeline": list(life.timeline), "decision": {key: said[key] for key in _DECISION}}

    def _death(self, life: _Life, event: Exited, entry: Entry) -> Death:
        begun = life.described.get("monotonic")
        is_agent = event.kind is Kind.AGENT
        return {
            "id": event.id,
            "kind": event.kind.value,
            "type": life.described.get("type"),
            "incarnation": life.incarnation,
            "restarts": life.described.get("restarts"),
            "tree": self._tree,
            "run_began": self._run_began,
            "supervisor": entry.supervisor,
            "at": entry.at,
            "lifetime": None if begun is None else round(entry.monotonic - begun, 3),
            "exit": exit_as_json(event.exit),
            "config": life.described.get("config", {}),
            "timeline": list(life.timeline),
            "evidence": entry.evidence,
            "decision": None,
            "made_by": _made_by(),
            "log": str(log_path(self._state_dir, event.id)) if is_agent else None,
        }

    def _with_evidence(self, end: Death | None) -> Death | None:
        """An end that is explained. No file is read for all the others: most children that finish their work were to end."""
        if end is None or end["evidence"] is not None:
            return end
        return {**end, "evidence": self._kept(end) or self._evidence_in_log(end)}

    def _kept(self, end: Death) -> Any:
        """The evidence that an earlier registry wrote down: it is not in the journal."""
        for place in files.places(self._state_dir, end["id"]):
            if place.incarnation == end["incarnation"] and (death := place.read()) and death["at"] == end["at"]:
                return death["evidence"]
        return None

    def _evidence_in_log(self, end: Death) -> dict[str, Any]:
        is_agent = end["kind"] == Kind.AGENT.value
        return asdict(evidence_in_log(log_path(self._state_dir, end["id"]), end["incarnation"]) if is_agent else Evidence())


_TAKEN_BY: dict[type, Callable[[Deaths, _Life, Any, Entry], None]] = {
    Starting: Deaths._starting,
    Exited: Deaths._exited,
    Decided: Deaths._decided,
}


@cache
def _made_by() -> str:
    return f"suptree {version('suptree')}, Python {platform.python_version()}, {platform.system()} {platform.release()}"
