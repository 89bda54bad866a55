"""The actor around a core: turns messages into events, and performs the commands. It holds no policy."""

import asyncio
import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
from thespian.actors import ActorAddress

from suptree.actors.base.channel import Outbox
from suptree.actors.base.dispatch import on
from suptree.actors.base.messages import (
    Begin,
    Ended,
    Flush,
    Flushed,
    QuotaHit,
    Request,
    Services,
    Started,
    Stop,
    Told,
)
from suptree.actors.events.event_types import Decided, Kind, Starting, Stopping
from suptree.actors.exits import Exit, ExitClass
from suptree.actors.kernel.linux import set_name
from suptree.actors.record.journal import lives_before
from suptree.actors.record.registry import JOURNAL_FILE

from ..core.core import SupervisorCore
from ..decisions import core_commands as c
from ..decisions import core_events as e
from ..decisions.timers import Timer, TimerUse
from ..spec.tree_spec import SupervisorSpec
from .children import LivingChild, actor_class, description
from .control_requests import Requests
from .fork_ahead import ForkAhead
from .reporter import Reporter
from .signs_of_life import SignsOfLife

log = structlog.get_logger()

KILLED = "killed on request"
"""The reason of a child that was given no time to stop."""

# How long an ending supervisor waits for the registry to have heard everything.
_FLUSH_WAIT = 2.0


class SupervisorActor(SignsOfLife):
    """Tells its core what happens to the children, and does to them what it orders."""

    core: SupervisorCore | None = None

    def __init__(self) -> None:
        super().__init__()
        self.handlers |= dict(
            [
                on(Begin, self.on_begin),
                on(Stop, self.on_stop),
                on(Services, self.on_services),
                on(Flushed, self.on_flushed),
                on(Told, self.on_told),
                on(QuotaHit, self.on_quota_hit),
                on(Request, self.on_request),
            ]
        )
        self.performers: dict[type, Callable[[Any], None]] = dict(
            [
                on(c.StartChild, self._start_child),
                on(c.StopChild, self._stop_child),
                on(c.KillChild, self._kill_child),
                on(c.SetTimer, self._set_timer),
                on(c.CancelTimer, self._cancel_timer),
                on(c.ParkQuotaGroup, self._park_quota_group),
                on(c.Reply, self._reply),
                on(c.Report, self._report),
                on(c.ExitSupervisor, self._exit),
            ]
        )
        """What performs each command of the core, by its type."""

    # Messages

    def on_begin(self, begin: Begin, sender: ActorAddress) -> None:
        self.groups = begin.context.groups.below(begin.id, begin.incarnation)
        self.begin = replace(begin, context=replace(begin.context, groups=self.groups))
        self.supervisor, self.services = self.open(sender), Services()
        self.registry: Outbox | None = None
        set_name(f"st:{begin.id}")
        self.spec: SupervisorSpec = begin.spec
        self.children: dict[str, LivingChild] = {}
        self.timers: dict[Timer, asyncio.TimerHandle] = {}
        self.announced = False
        self.ahead = ForkAhead(self)
        self.reporter = Reporter(begin.id, f"{begin.context.run_id}:{os.getpid()}", self.tell_registry)
        self.requests = Requests(self)
        self.use_services(begin.services)
        journal = Path(begin.context.state_dir) / JOURNAL_FILE
        lives = lives_before(journal, begin.context.run_id, [child.id for child in self.spec.children])
        self.core = SupervisorCore(self.spec.flags, self.spec.children, lives=lives, uniform=random.uniform)
        self.tell_core(e.SupervisorStarted())

    def on_flushed(self, _flushed: Flushed, _sender: ActorAddress) -> None:
        self.say_goodbye(self.last_words)

    def on_stop(self, _stop: Stop, _sender: ActorAddress) -> None:
        self.shut_down()

    def on_services(self, services: Services, _sender: ActorAddress) -> None:
        self.use_services(services)

    def on_told(self, told: Told, _sender: ActorAddress) -> None:
        self.requests.told(told)

    def on_quota_hit(self, hit: QuotaHit, _sender: ActorAddress) -> None:
        self.tell_core(e.QuotaGroupParked(hit.quota_group, hit.retry_after))
        self._pass_on(hit, self.origin)

    def on_request(self, request: Request, _sender: ActorAddress) -> None:
        self.requests.take(request)

    # What the core hears and orders

    def tell_core(self, event: e.Event) -> None:
        """Hand the core one event and perform what it orders."""
        if self.core is None:
            return
        for command in self.core.handle(event, time.monotonic()):
            self.performers[type(command)](command)
        self.ahead.expect(None if self.core.next_start is None else actor_class(self.core.next_start.start))
        if not self.announced and self.core.is_up:
            self.announced = True
            self.announce()

    def parent_died(self) -> None:
        """Decide nothing any more: what we would start again while everything below us is ended would never end."""
        self.core = None
        super().parent_died()

    def announce(self) -> None:
        """Tell the parent that all children are up."""
        self.supervisor.tell(Started(self.begin.id, self.begin.incarnation))

    def say_goodbye(self, how: Exit) -> None:
        """Tell the parent how it ended."""
        if not self.ended:
            self.end(Ended(self.begin.id, self.begin.incarnation, how))

    def shut_down(self) -> None:
        """Stop all children in reverse order, then exit; a second call kills what still stops."""
        if self.core is None:
            self._exit(c.ExitSupervisor(Exit(ExitClass.SHUTDOWN, "stop requested")))
        else:
            self.tell_core(e.ShutdownRequested())

    def use_services(self, services: Services) -> None:
        """Learn where registry and heartbeat are now, pass it on, and tell them what they must know."""
        is_new_registry = services.registry is not None and services.registry != self.services.registry
        is_new_heartbeat = services.heartbeat is not None and services.heartbeat != self.services.heartbeat
        self.services = services
        if services.registry is None:
            self.registry = None
        elif is_new_registry:
            self.registry = self.open(services.registry)
        if services.heartbeat is None:
            self.heartbeat = None
        if is_new_heartbeat:
            self.heartbeat = self.open(services.heartbeat)
        for child in self.children.values():
            if child.kind == "supervisor":
                child.channel.tell(services)
            if is_new_heartbeat:
                self.watch(child)
        if is_new_registry:
            self.reporter.report_all_again()

    def _start_child(self, command: c.StartChild) -> None:
        spec, incarnation = command.spec, command.incarnation
        child = self.fork_child(spec, incarnation)
        self.reporter.report(Starting(*child.life, restarts=command.restarts, actor_pid=child.pid, **description(spec, child.redactor)))
        self.watch(child)
        child.channel.tell(Begin(spec.id, incarnation, command.restarts, spec.start, self.begin.context, self.services, self.begin.id))
        self.await_start(child)

    def _stop_child(self, command: c.StopChild) -> None:
        child = self.living(command)
        if child is not None:
            if child.cause is None:
                self.reporter.report(Stopping(*child.life))
            self.forget_deadline(child)
            child.stopping = True
            child.channel.tell(Stop(child.id, child.incarnation))

    def _kill_child(self, command: c.KillChild) -> None:
        child = self.living(command)
        if child is not None:
            if child.cause is None:
                child.cause = Exit(ExitClass.SHUTDOWN, KILLED)
                self.reporter.report(Stopping(*child.life, why="SIGKILL"))
            self.kill(child)

    def _set_timer(self, command: c.SetTimer) -> None:
        self._cancel_timer(c.CancelTimer(command.timer))
        fired = e.TimerFired(command.timer, command.generation)
        self.timers[command.timer] = self.loop.call_later(command.delay, self._timer_fired, fired)

    def _timer_fired(self, fired: e.TimerFired) -> None:
        child = self.children.get(fired.timer.child_id)
        if fired.timer.use is TimerUse.KILL and child is not None and child.extended_until > self.loop.time():
            self.timers[fired.timer] = self.loop.call_at(child.extended_until, self._timer_fired, fired)
        else:
            self.tell_core(fired)

    def _cancel_timer(self, command: c.CancelTimer) -> None:
        if timer := self.timers.pop(command.timer, None):
            timer.cancel()

    def _park_quota_group(self, command: c.ParkQuotaGroup) -> None:
        self._pass_on(QuotaHit(command.quota_group, command.retry_after), None)

    def _reply(self, command: c.Reply) -> None:
        self.requests.answer(command)

    def _report(self, report: c.Report) -> None:
        child = self.reporter.row(report.id)
        decided = Decided(
            Kind(child["kind"]) if child else Kind.AGENT,
            report.id,
            report.incarnation,
            decision=report.decision.value,
            why=report.why,
            delay=round(report.delay, 3),
            affected=tuple(report.affected),
            restarts_left=report.restarts_left,
            charged=report.decision is c.Decision.RESTART,
        )
        self.reporter.report(decided)

    def _exit(self, command: c.ExitSupervisor) -> None:
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
        self.last_words = command.exit
        if self.tell_registry(Flush()):
            self.loop.call_later(_FLUSH_WAIT, self.say_goodbye, command.exit)
        else:
            self.say_goodbye(command.exit)

    # What becomes of the children

    def child_is_up(self, child: LivingChild) -> None:
        """Tell the core."""
        self.tell_core(e.ChildStarted(child.id, child.incarnation))

    def stop_condemned(self, child: LivingChild, cause: Exit) -> None:
        """Let the core stop it."""
        self.tell_core(e.ChildCondemned(child.id, child.incarnation, cause.exit_class, cause.reason))

    def child_is_gone(self, child: LivingChild) -> None:
        """Whoever asked something of it hears that it is gone."""
        super().child_is_gone(child)
        how = child.cause or (child.last_word and child.last_word.exit)
        self.requests.child_is_gone(child.id, f": {child.redactor.text(how.told)}" if how else "")

    def child_ended(self, child: LivingChild, how: Exit, *, ignored: bool) -> None:
        """Let the core decide what comes next."""
        if child.started:
            self.tell_core(e.ChildExited(child.id, child.incarnation, how))
        elif ignored:
            self.tell_core(e.ChildIgnored(child.id, child.incarnation))
        else:
            self.tell_core(e.ChildStartFailed(child.id, child.incarnation, how))

    # Neighbours and services

    def neighbours(self) -> list[tuple[int, Outbox]]:
        """The supervisors above and directly below, by pid."""
        below = [(child.pid, child.channel) for child in self.children.values() if child.kind == "supervisor"]
        return [(self.parent_pid, self.supervisor), *below]

    def _pass_on(self, message: Any, origin: int | None) -> None:
        for pid, neighbour in self.neighbours():
            if pid != origin:
                neighbour.tell(message)

    def tell_registry(self, message: Any) -> bool:
        """Tell the registry something, if there is one."""
        if self.registry is None:
            return False
        self.registry.tell(message)
        return True
