"""The registry actor: hears every event, writes it down, keeps the whole picture, and finds supervisors by name.

It connects to the launcher; what the launcher knows and asks goes through that link, one JSON object a line.
"""

import asyncio
import contextlib
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import structlog
from thespian.actors import ActorAddress

from ..base.channel import Outbox
from ..base.dispatch import on
from ..base.life_stamps import STAMPS
from ..base.loop_actor import LoopActor
from ..base.messages import (
    Answered,
    Begin,
    ClientRequest,
    Ended,
    Flush,
    Flushed,
    PingAges,
    PingAgesAsked,
    Reported,
    Services,
    Snapshot,
    Started,
    Stop,
    is_for,
)
from ..deaths.death_recorder import Deaths
from ..errors import UnknownEvent
from ..events.entry import Entry, decode, encode
from ..events.event_types import ChildEvent, Deleted, Exited, Kind
from ..events.picture import Picture, is_alive
from ..exits import Exit, ExitClass
from ..kernel.linux import set_name
from ..native.questions import failure
from .journal import Journal
from .link_lines import LINE_LIMIT, in_parts, line_of, lines_of
from .link_offers import LinkOffers

log = structlog.get_logger()

TOP_SUPERVISOR = "top"
JOURNAL_FILE = "journal.sqlite"
RECORD = "record"
"""The operation by which the launcher has an event of its own written down."""
HERE = "here"
"""The operation by which the launcher asks whether the registry answers at all."""
STAYS_DOWN = "stays_down"
"""The operation by which a supervisor is asked whether a child that is down, a supervisor, is to stay so."""
_FOR_SUPERVISORS = ("start_child", "which_children", "count_children", "shutdown")
_EVENTS_SENT_FIRST = 500
# While the journal cannot be written, it is tried as often as this.
_JOURNAL_AGAIN = 1.0


class RegistryActor(LoopActor):
    """Knows the whole picture; is the only writer of the journal."""

    link_offers: ClassVar[LinkOffers]

    def __init__(self) -> None:
        super().__init__()
        self.handlers = dict(
            [
                on(Begin, self.on_begin),
                on(Stop, self.on_stop),
                on(Services, self.on_services),
                on(Reported, self.on_reported),
                on(Snapshot, self.on_snapshot),
                on(Flush, self.on_flush),
                on(Answered, self.on_answered),
                on(PingAges, self.on_ping_ages),
            ]
        )

    def inherited(self) -> set[int]:
        """The way to the launcher."""
        return {self.link_offers.registry_end}

    def on_begin(self, begin: Begin, sender: ActorAddress) -> None:
        self.begin, self.supervisor = begin, self.open(sender)
        set_name(f"st:{begin.id}")
        self.journal = Journal(Path(begin.context.state_dir) / JOURNAL_FILE)
        self.seq = self.journal.begin_run(begin.context.run_id)
        self.picture = Picture(self.journal.rows(), self._row_is_gone)
        self.journal.picture = self.picture.rows.values
        self.waits_for_journal = False
        self.deaths = Deaths(begin.context.tree, begin.context.state_dir, begin.context.run_began)
        for said in self.journal.events(after=self.journal.before_run, last=_EVENTS_SENT_FIRST):
            # One of a type that an earlier version knew says nothing of a death.
            with contextlib.suppress(UnknownEvent):
                self.deaths.remember(decode(said))
        self.addresses: dict[str, Outbox] = {}
        self.ended_at: dict[str, float] = {}
        """By supervisor, when its last end was reported."""
        self.heartbeat: Outbox | None = None
        self.asked: dict[str, tuple[str, str]] = {}
        """Each request that waits for its answer: the supervisor that was asked, and the operation."""
        self.own_operations = {RECORD: self._record, HERE: self._here, "ping_ages": self._ping_ages}
        self.early: dict[str, list[dict[str, Any]]] = {}
        self.link: asyncio.StreamWriter | None = None
        self.every(begin.context.heartbeat.interval, partial(STAMPS.stamp, "registry"))
        self.spawn(self._serve_link())

    def on_stop(self, stop: Stop, _sender: ActorAddress) -> None:
        if is_for(stop, self.begin):
            self.spawn(self._end())

    def on_services(self, services: Services, _sender: ActorAddress) -> None:
        self.heartbeat = None if services.heartbeat is None else self.open(services.heartbeat)

    def on_reported(self, reported: Reported, sender: ActorAddress) -> None:
        if self._is_late(reported.entry):
            return
        if reported.entry.supervisor is not None:
            self._find(reported.entry.supervisor, sender)
        self._take(reported.entry)

    def on_snapshot(self, snapshot: Snapshot, sender: ActorAddress) -> None:
        if snapshot.recent and self._is_late(snapshot.recent[-1]):
            return
        self._find(snapshot.supervisor, sender)
        for entry in snapshot.recent:
            self._take(entry)
        rows = [dict(row) for row in snapshot.rows.values()]
        # Its own row is its parent's to keep.
        self.picture.replace(rows)
        for row in rows:
            self.journal.put(row)
        for part in in_parts(rows):
            self._tell_link({"rows": part})
        self._see_to_journal()

    def on_flush(self, flush: Flush, sender: ActorAddress) -> None:
        self.back_to(sender).tell(Flushed(flush.number))

    def on_answered(self, answered: Answered, _sender: ActorAddress) -> None:
        if not answered.more:
            self.asked.pop(answered.request, None)
        answer = {"request": answered.request, "answer": answered.answer, "value": answered.value, "seq": self.seq, "more": answered.more}
        self._tell_link({"answer": answer})

    def on_ping_ages(self, ages: PingAges, sender: ActorAddress) -> None:
        self.on_answered(Answered(ages.request, "ok", dict(ages.ages)), sender)

    def _is_late(self, entry: Entry) -> bool:
        """Whether it was reported by a supervisor whose end is known: that has ended all that it could be about."""
        return entry.supervisor is not None and entry.monotonic <= self.ended_at.get(entry.supervisor, 0.0)

    def _find(self, supervisor: str, address: ActorAddress) -> None:
        self.addresses[supervisor] = self.back_to(address)
        for asked in self.early.pop(supervisor, []):
            self._ask(asked)

    def _take(self, entry: Entry) -> None:
        if not self.journal.is_new(entry):
            return
        event = entry.event
        actor_pid = self.picture.rows.get(event.id, {}).get("actor_pid") if isinstance(event, ChildEvent) else None
        row = self.picture.apply(entry)
        self.seq += 1
        # Its row may be gone by now: of very many that were deleted not all are kept.
        self.journal.append(self.seq, entry, row if row is not None and row["id"] in self.picture.rows else None)
        if isinstance(event, Deleted):
            for below in self.picture.below(event.id):
                self.journal.put(below)
                if below["deleted"]:
                    self.deaths.forget(below["id"])
        self.deaths.hear(entry)
        self._tell_link({"event": {"seq": self.seq, **encode(entry)}})
        # The answers that this gives may not overtake the event.
        if isinstance(event, Exited) and event.kind is Kind.SUPERVISOR and row is not None:
            self._supervisor_ended(event.id, entry, actor_pid)
        self._see_to_journal()

    def _row_is_gone(self, child: str) -> None:
        self.journal.drop(child)
        self.ended_at.pop(child, None)

    def _see_to_journal(self) -> None:
        """While the journal cannot be written, say so and try again; nothing else depends on it."""
        if self.journal.waits and not self.waits_for_journal:
            self.waits_for_journal = True
            self.loop.call_later(_JOURNAL_AGAIN, self._journal_again)
        if self.waits_for_journal:
            self._tell_link({"journal": self.journal.state()})

    def _journal_again(self) -> None:
        self.journal.flush()
        self.waits_for_journal = False
        self._tell_link({"journal": self.journal.state()})
        self._see_to_journal()

    def _supervisor_ended(self, supervisor: str, entry: Entry, actor_pid: int | None) -> None:
        self.ended_at[supervisor] = entry.monotonic
        for below in self.picture.below(supervisor):
            self.journal.put(below)
            if (below["last_exit"] or {}).get("at") == entry.at:
                self.deaths.ended_below(below, entry)
        self.addresses.pop(supervisor, None)
        self.forget_sender(actor_pid or 0)
        why = f"supervisor {supervisor} ended meanwhile"
        for early in self.early.pop(supervisor, []):
            self.asked[early["request"]] = (supervisor, early["operation"])
        for request, operation in [(request, op) for request, (asked, op) in self.asked.items() if asked == supervisor]:
            down = ("failed", failure(why)) if operation == "ask" else ("refused", why)
            self.on_answered(Answered(request, *down), self.myAddress)

    def _here(self, request: str, _said: dict[str, Any]) -> None:
        self.on_answered(Answered(request, "ok"), self.myAddress)

    def _ping_ages(self, request: str, _said: dict[str, Any]) -> None:
        if self.heartbeat is None:
            self.on_answered(Answered(request, "ok", {}), self.myAddress)
        else:
            self.heartbeat.tell(PingAgesAsked(request))

    def _record(self, request: str, said: dict[str, Any]) -> None:
        try:
            self._take(decode(said))
        except UnknownEvent as refusal:
            self.on_answered(Answered(request, "refused", str(refusal)), self.myAddress)
        else:
            self.on_answered(Answered(request, "ok"), self.myAddress)

    async def _serve_link(self) -> None:
        reader, self.link = await asyncio.open_unix_connection(sock=self.link_offers.connect(), limit=LINE_LIMIT)
        lines = lines_of(reader)
        # What an earlier registry could not write down has its number nevertheless.
        self.seq = max(self.seq, (await anext(lines, {"seq": 0}))["seq"])
        recent = self.journal.events(after=self.journal.before_run, last=_EVENTS_SENT_FIRST)
        for what, all_of_it in (("rows", self.picture.rows.values()), ("events", recent)):
            for part in in_parts(all_of_it):
                self._tell_link({"before_hello": {what: part}})
        self._tell_link({"hello": {"seq": self.seq, "before_run": self.journal.before_run, "journal": self.journal.state()}})
        self._see_to_journal()
        self.supervisor.tell(Started(self.begin.id, self.begin.incarnation))
        async for asked in lines:
            self._ask(asked)
        # The launcher is gone; the lifelines end the tree.
        self.link = None

    def _ask(self, asked: dict[str, Any]) -> None:
        request, operation, target = asked["request"], asked["operation"], asked["target"]
        if own := self.own_operations.get(operation):
            own(request, asked["arguments"])
            return
        if operation in _FOR_SUPERVISORS:
            owner = target
        else:
            row = self.picture.rows.get(target)
            owner = row["supervisor"] if row is not None else None
        owner_row = self.picture.rows.get(owner) if owner is not None else None
        if owner is None or (owner != TOP_SUPERVISOR and owner_row is None):
            self.on_answered(Answered(request, "not_found", target), self.myAddress)
            return
        if owner_row is not None and owner_row["kind"] != "supervisor":
            self.on_answered(Answered(request, "refused", f"{owner} is no supervisor: {operation} is for supervisors"), self.myAddress)
            return
        if owner_row is not None and not is_alive(owner_row):
            if operation != "stop":
                down = f"its supervisor {owner} is {owner_row['status']}: start that first"
                self.on_answered(Answered(request, "refused", down), self.myAddress)
                return
            # Nothing of it runs, and it stays down unless its supervisor comes back: one that runs knows that.
            owner, target = self._running_above(str(owner))
            operation = STAYS_DOWN
        supervisor = self.addresses.get(owner)
        if supervisor is None:
            # A registry that is new has yet to hear from that supervisor.
            self.early.setdefault(owner, []).append(asked)
            return
        self.asked[request] = (owner, operation)
        supervisor.tell(ClientRequest(request, operation, target, asked.get("arguments", {})))

    def _running_above(self, supervisor: str) -> tuple[str, str]:
        """The first supervisor that runs above one that is down, and its child on the way there."""
        rows, seen = self.picture.rows, {supervisor}
        above = rows[supervisor]["supervisor"]
        # The rows of a damaged journal may stand in a circle.
        while above not in seen and above in rows and not is_alive(rows[above]):
            seen.add(above)
            supervisor, above = above, rows[above]["supervisor"]
        return TOP_SUPERVISOR if above in seen or above not in rows else above, supervisor

    def _tell_link(self, line: dict[str, Any]) -> None:
        if self.link is not None:
            self.link.write(line_of(line))

    async def _end(self) -> None:
        if self.link is not None:
            self.link.close()
            await self.link.wait_closed()
        self.journal.close()
        self.end(Ended(self.begin.id, self.begin.incarnation, Exit(ExitClass.SHUTDOWN, "stop requested")))
