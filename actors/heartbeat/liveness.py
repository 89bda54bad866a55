"""Who has been silent for too long: deadlines in a table, without clock or socket."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ..base.messages import Silent, Suspect, Watch

Key = tuple[str, int]
# Below this a late look at the table is the scheduler's ordinary noise.
_LATE = 0.5
# Fewer suspects than this at the same time say nothing about the machine.
_FREEZE_FROM = 4
_FREEZE_LIMIT = 10.0
# Of its limit: a program pings every half of it, as sd_watchdog_enabled(3) recommends, and is not to be suspect for that.
_PROGRAM_SUSPECT_AFTER = 0.75
# A program chooses that limit: one that pings a little late in turns would have us say so many times a second.
_LEAST_SUSPECT = 1.0


class _Signal(NamedTuple):
    """One source of pings, and the seconds of its silence that count."""

    source: str
    seen: float
    suspect_after: float
    dead_after: float


@dataclass(slots=True)
class _Watched:
    watch: Watch
    actor_seen: float
    program_seen: float | None
    suspect: bool = False
    condemned: bool = False

    @property
    def signals(self) -> tuple[_Signal, ...]:
        if self.watch.starting:
            return ()
        spec, limit = self.watch.spec, self.watch.watchdog
        actor = _Signal("actor", self.actor_seen, spec.suspect_after, spec.dead_after)
        if self.program_seen is None or limit is None:
            return (actor,)
        share = max(spec.suspect_after / spec.dead_after, _PROGRAM_SUSPECT_AFTER)
        return _Signal("program", self.program_seen, max(limit * share, min(limit, _LEAST_SUSPECT)), limit), actor

    @property
    def oldest(self) -> _Signal:
        return min(self.signals, key=lambda signal: signal.seen)

    def silent(self, now: float, *, dead: bool) -> _Signal | None:
        """The first signal that has been missed for so long that it is suspect, or dead."""
        return next((s for s in self.signals if now - s.seen >= (s.dead_after if dead else s.suspect_after)), None)

    @property
    def deadline(self) -> float:
        return min((s.seen + (s.dead_after if self.suspect else s.suspect_after) for s in self.signals), default=math.inf)


class Liveness:
    """The table of all watched incarnations. Times are monotonic seconds and come from the caller."""

    def __init__(self) -> None:
        self._watched: dict[Key, _Watched] = {}
        self._by_pid: dict[int, Key] = {}
        self._frozen_since: float | None = None

    @property
    def frozen(self) -> bool:
        """Whether verdicts are withheld."""
        return self._frozen_since is not None

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, watch: Watch, now: float) -> None:
        """Begin to expect pings, with a fresh deadline; a second watch of the same incarnation updates the first."""
        key = (watch.id, watch.incarnation)
        known = self._watched.get(key)
        seen = now if known is None or known.watch.starting else known.actor_seen
        self._watched[key] = _Watched(watch, seen, None if watch.watchdog is None else now)
        self._by_pid[watch.actor_pid] = key
        if watch.program_pid is not None:
            self._by_pid[watch.program_pid] = key

    def unwatch(self, key: Key) -> None:
        """Expect no more pings of this incarnation."""
        gone = self._watched.pop(key, None)
        if gone is not None:
            for pid in (gone.watch.actor_pid, gone.watch.program_pid):
                if pid is not None and self._by_pid.get(pid) == key:
                    del self._by_pid[pid]

    def owner(self, lineage: Iterable[int], user_id: int | None = None) -> Key | None:
        """Which incarnation a process belongs to, by the pids of itself and its ancestors, nearest first.

        Below a supervisor are agents whose Watch may still be on its way: they are not the supervisor. What was said at the socket of
        another user (`user_id`) is said for agents that run as that user: its sender may have ended, and its pid be somebody else's.
        """
        for generation, pid in enumerate(lineage):
            key = self._by_pid.get(pid)
            if key is not None and not (generation and self._watched[key].watch.alone):
                return key if user_id in (None, self._watched[key].watch.user_id) else None
        return None

    def pinged(self, pid: int, key: Key, now: float) -> Suspect | None:
        """A process of this incarnation pinged; a Suspect with `suspect=False` when that clears it."""
        watched = self._watched[key]
        if pid == watched.watch.actor_pid:
            watched.actor_seen = now
        elif watched.program_seen is not None:
            watched.program_seen = now
        if watched.suspect and watched.silent(now, dead=False) is None:
            watched.suspect = False
            return Suspect(*key, suspect=False)
        return None

    def ages(self, now: float) -> dict[str, float]:
        """Id to seconds since its last ping (of the program where that pings itself)."""
        return {key[0]: now - watched.oldest.seen for key, watched in self._watched.items() if watched.signals}

    def excuse(self, seconds: float) -> None:
        """Move every deadline: we were not listening for so long."""
        for watched in self._watched.values():
            watched.actor_seen += seconds
            if watched.program_seen is not None:
                watched.program_seen += seconds

    def judge(self, now: float, scheduled: float) -> list[Silent | Suspect]:
        """The verdicts that are due. `scheduled` is when this look was meant to happen: what we are late, the agents are not."""
        if now - scheduled > _LATE:
            self.excuse(now - scheduled)
        overdue = list(self._overdue(now))
        fresh = [watched for watched in overdue if not watched.suspect]
        # When most agents fall silent together, the machine is the cause and not the agents: freeze the verdicts, and say so.
        # But when they stay silent for long, the agents are really lost.
        most = len(fresh) >= _FREEZE_FROM and len(fresh) * 2 > len(self._watched)
        self._frozen_since = None if not most else now if self._frozen_since is None else self._frozen_since
        if self.frozen and now - (self._frozen_since or now) < _FREEZE_LIMIT:
            return []
        self._frozen_since = None
        verdicts: list[Silent | Suspect] = []
        for watched in overdue:
            watch = watched.watch
            if dead := watched.silent(now, dead=True):
                watched.condemned = True
                verdicts.append(Silent(watch.id, watch.incarnation, now - dead.seen, dead.source))
            elif not watched.suspect:
                verdicts.append(Suspect(watch.id, watch.incarnation, suspect=True, age=now - watched.oldest.seen))
            watched.suspect = True
        return verdicts

    def next_deadline(self) -> float | None:
        """When the next verdict can be due, if no ping comes."""
        nearest = min((watched.deadline for watched in self._watched.values() if not watched.condemned), default=math.inf)
        return None if nearest == math.inf else nearest

    def _overdue(self, now: float) -> Iterator[_Watched]:
        for watched in self._watched.values():
            if not watched.condemned and watched.silent(now, dead=False):
                yield watched
