"""The actor around a core: turns messages into events, and performs the commands. It holds no policy."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import structlog
from thespian.actors import ActorAddress

from suptree.actors.agent_spec import AgentSpec
from suptree.actors.cgroup import Groups
from suptree.actors.channel import Outbox
from suptree.actors.evidence import SweptLog
from suptree.actors.exits import Exit, ExitClass
from suptree.actors.journal import lives_before
from suptree.actors.linux import set_name, signal_name
from suptree.actors.loop_actor import LoopActor
from suptree.actors.messages import (
    Begin,
    Condemned,
    Ended,
    Flush,
    Flushed,
    Notified,
    QuotaHit,
    Refused,
    Request,
    Services,
    Silent,
    Stalled,
    Started,
    Stop,
    Suspect,
    Told,
    Unkillable,
    Unwatch,
    Watch,
)
from suptree.actors.registry import JOURNAL_FILE
from suptree.actors.sweep import sweep

from . import commands as c
from . import events as e
from .burial import evidence_of
from .children import LivingChild, actor_class, description, redactor_of
from .control_requests import Requests
from .core import SupervisorCore
from .orders import Use
from .reporter import Reporter
from .tree_spec import SupervisorSpec

log = structlog.get_logger()

KILLED = "killed on request"
"""The reason of a child that was given no time to stop."""

# How long an ending supervisor waits for the registry to have heard everything.
_FLUSH_WAIT = 2.0


class SupervisorActor(LoopActor):
    """Owns the actors of its children; a pidfd each is how it knows of their deaths."""

    handlers: ClassVar[dict[type, str]] = {
        Begin: "on_begin",
        Stop: "on_stop",
        Services: "on_services",
        Flushed: "on_flushed",
        Started: "on_started",
        Ended: "on_ended",
        Condemned: "on_condemned",
        Stalled: "on_stalled",
        Unkillable: "on_unkillable",
        Silent: "on_silent",
        Suspect: "on_suspect",
        Told: "on_told",
        Notified: "on_notified",
        Refused: "on_refused",
        QuotaHit: "on_quota_hit",
        Request: "on_request",
    }

    groups = Groups()

    # Messages

    def on_begin(self, begin: Begin, sender: ActorAddress) -> None:
        self.groups = begin.context.groups.below(begin.id, begin.incarnation)
        self.begin = replace(begin, context=replace(begin.context, groups=self.groups))
        self.supervisor, self.services = self.open(sender), Services()
        self.registry: Outbox | None = None
        self.heartbeat: Outbox | None = None
        set_name(f"st:{begin.id}")
        self.spec: SupervisorSpec = begin.spec
        self.core: SupervisorCore | None = None
        self.children: dict[str, LivingChild] = {}
        self.timers: dict[str, asyncio.TimerHandle] = {}
        self.announced = False
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

    def on_started(self, started: Started, sender: ActorAddress) -> None:
        child = self._living(started)
        if child is None:
            return
        child.real_address, child.program_pid = sender, started.pid
        self.reporter.tell(f"{child.kind}_started", child.id, child.incarnation, pid=started.pid, ready=started.ready or child.started)
        child.begun = True
        self._watch(child)
        if started.ready:
            self._is_up(child)

    def on_ended(self, ended: Ended, _sender: ActorAddress) -> None:
        child = self._living(ended)
        if child is not None:
            # Nothing of it is left but the actor, which waits for this.
            child.last_word = ended
            self._kill(child)

    def on_condemned(self, condemned: Condemned, _sender: ActorAddress) -> None:
        if child := self._living(condemned):
            self.condemn(child, Exit(condemned.exit_class, condemned.why))

    def on_stalled(self, stalled: Stalled, _sender: ActorAddress) -> None:
        if child := self._living(stalled):
            self.reporter.tell(f"{child.kind}_stalled", child.id, child.incarnation, seconds=stalled.seconds)

    def on_unkillable(self, unkillable: Unkillable, _sender: ActorAddress) -> None:
        if child := self._living(unkillable):
            self._stuck(child, list(unkillable.pids))

    def _stuck(self, child: LivingChild, pids: list[int]) -> None:
        # Fenced: as long as they live it is not over, and no new incarnation begins.
        self.reporter.tell(f"{child.kind}_unkillable", child.id, child.incarnation, pids=pids)

    def on_silent(self, silent: Silent, _sender: ActorAddress) -> None:
        child = self._living(silent)
        # What it said meanwhile may have taken its watchdog away.
        if child is not None and (silent.source == "actor" or child.watchdog is not None):
            cause = Exit(ExitClass.HUNG, f"no ping of its {silent.source} for {silent.age:.1f} s")
            self.condemn(child, cause, at_once=silent.source == "actor")

    def on_suspect(self, suspect: Suspect, _sender: ActorAddress) -> None:
        child = self._living(suspect)
        if child is not None:
            self.reporter.tell(f"{child.kind}_suspect", child.id, child.incarnation, suspect=suspect.suspect, age=suspect.age)

    def on_notified(self, notified: Notified, _sender: ActorAddress) -> None:
        child = self._living(notified)
        if child is None:
            return
        said, watchdog = notified.said, child.watchdog
        child.hear(said, self.loop.time())
        if said.status is not None:
            self.reporter.tell(f"{child.kind}_status", child.id, child.incarnation, status=child.redactor.text(said.status))
        if said.ready and not child.started:
            self.reporter.tell(f"{child.kind}_ready", child.id, child.incarnation)
            self._is_up(child)
        if said.stopping and child.started and not child.stopping and child.deadline is None:
            # It has as long as a stop on request may take.
            self.reporter.tell(f"{child.kind}_stopping", child.id, child.incarnation, why="it said STOPPING=1")
            self._set_deadline(child, child.stop_time, self._announced_stop_timed_out)
        if child.watchdog != watchdog:
            self._watch(child)
        child.channel.tell(notified)
        if said.trigger:
            self.condemn(child, Exit(ExitClass.HUNG, "it said WATCHDOG=trigger"))

    def on_told(self, told: Told, _sender: ActorAddress) -> None:
        self.requests.told(told.request, told.refusal)

    def on_refused(self, refused: Refused, _sender: ActorAddress) -> None:
        if child := self._living(refused):
            counts = {"strangers": refused.strangers, "malformed": refused.malformed}
            self.reporter.tell(f"{child.kind}_refused", child.id, child.incarnation, **counts)

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
            getattr(self, _PERFORMED_BY[type(command)])(command)
        if not self.announced and self.core.is_up:
            self.announced = True
            self.announce()

    def parent_died(self) -> None:
        """Decide nothing any more: what we would start again while everything below us is ended would never end."""
        self.core = None
        for timer in self.timers.values():
            timer.cancel()
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

    def condemn(self, child: LivingChild, cause: Exit, *, at_once: bool = False) -> None:
        """End a child for a cause that is recorded first, so that its exit is classed by it; `at_once` when it cannot hear us anyway.

        One that is being stopped already, for another cause or on request, is given the time that this may take, and no less.
        """
        if child.cause is not None or child.stopping:
            return
        child.cause = cause
        self.reporter.tell(f"{child.kind}_stopping", child.id, child.incarnation, why=f"{cause.exit_class}: {cause.reason}")
        if at_once or not child.started:
            self._kill(child)
        else:
            self.tell_core(e.ChildCondemned(child.id, child.incarnation, cause.exit_class, cause.reason))

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
                self._watch(child)
        if is_new_registry:
            self.reporter.tell_all_again()

    def _start_child(self, command: c.StartChild) -> None:
        spec, incarnation = command.spec, command.incarnation
        address, pid, process = self.fork(actor_class(spec.start))
        child = LivingChild(spec, incarnation, self.open(address), pid, process, os.pidfd_open(pid), redactor_of(spec))
        self.children[spec.id] = child
        self.loop.add_reader(child.pidfd, self._child_gone, child)
        told = description(spec, child.redactor)
        self.reporter.tell(f"{child.kind}_starting", spec.id, incarnation, restarts=command.restarts, actor_pid=pid, **told)
        self._watch(child)
        child.channel.tell(Begin(spec.id, incarnation, command.restarts, spec.start, self.begin.context, self.services, self.begin.id))
        if isinstance(spec.start, AgentSpec):
            self._set_deadline(child, spec.start.heartbeat.startup_timeout, self._startup_timed_out)

    def _stop_child(self, command: c.StopChild) -> None:
        child = self._living(command)
        if child is not None:
            if child.cause is None:
                self.reporter.tell(f"{child.kind}_stopping", child.id, child.incarnation)
            self._forget_deadline(child)
            child.stopping = True
            child.channel.tell(Stop(child.id, child.incarnation))

    def _kill_child(self, command: c.KillChild) -> None:
        child = self._living(command)
        if child is not None:
            if child.cause is None:
                child.cause = Exit(ExitClass.SHUTDOWN, KILLED)
                self.reporter.tell(f"{child.kind}_stopping", child.id, child.incarnation, why="SIGKILL")
            self._kill(child)

    def _set_timer(self, command: c.SetTimer) -> None:
        self._cancel_timer(c.CancelTimer(command.name))
        fired = e.TimerFired(command.name, command.generation)
        self.timers[command.name] = self.loop.call_later(command.delay, self._timer_fired, fired)

    def _timer_fired(self, fired: e.TimerFired) -> None:
        use, _, child_id = fired.name.partition(" ")
        child = self.children.get(child_id)
        if use == Use.KILL.value and child is not None and child.extended_until > self.loop.time():
            self.timers[fired.name] = self.loop.call_at(child.extended_until, self._timer_fired, fired)
        else:
            self.tell_core(fired)

    def _cancel_timer(self, command: c.CancelTimer) -> None:
        if timer := self.timers.pop(command.name, None):
            timer.cancel()

    def _park_quota_group(self, command: c.ParkQuotaGroup) -> None:
        self._pass_on(QuotaHit(command.quota_group, command.retry_after), None)

    def _reply(self, command: c.Reply) -> None:
        self.requests.answer(command)

    def _report(self, report: c.Report) -> None:
        child = self.reporter.row(report.id)
        self.reporter.tell(
            f"{child['kind'] if child else 'agent'}_decided",
            report.id,
            report.incarnation,
            decision=report.decision.value,
            why=report.why,
            delay=round(report.delay, 3),
            affected=list(report.affected),
            restarts_left=report.restarts_left,
            charged=report.decision is c.Decision.RESTART,
        )

    def _exit(self, command: c.ExitSupervisor) -> None:
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
        self.last_words = command.exit
        if self.tell_registry(Flush()):
            self.loop.call_later(_FLUSH_WAIT, self.say_goodbye, command.exit)
        else:
            self.say_goodbye(command.exit)

    # Children

    def _living(self, about: Any) -> LivingChild | None:
        child = self.children.get(about.id)
        return child if child is not None and child.incarnation == about.incarnation else None

    def _is_up(self, child: LivingChild) -> None:
        self._forget_deadline(child)
        child.started = True
        self.child_is_up(child)
        self.tell_core(e.ChildStarted(child.id, child.incarnation))

    def child_is_up(self, child: LivingChild) -> None:
        """A hook for supervisors that need a child's address."""

    def child_is_gone(self, child: LivingChild) -> None:
        """A hook for supervisors whose children others depend on."""

    def _startup_timed_out(self, child: LivingChild) -> None:
        start: AgentSpec = child.spec.start
        self.condemn(child, Exit(ExitClass.STARTUP_TIMEOUT, f"not ready within {start.heartbeat.startup_timeout} s", during_start=True))

    def _announced_stop_timed_out(self, child: LivingChild) -> None:
        self.condemn(child, Exit(ExitClass.HUNG, f"it said STOPPING=1, and did not end within {child.stop_time:g} s"))

    def _kill(self, child: LivingChild) -> None:
        # Its program dies with it; what that leaves behind becomes ours, and is swept before the burial ends.
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)

    def _child_gone(self, child: LivingChild) -> None:
        self.loop.remove_reader(child.pidfd)
        self._forget_deadline(child)
        self.requests.child_is_gone(child.id)
        self.child_is_gone(child)
        if child.kind == "agent":
            self._send_to_heartbeat(Unwatch(child.id, child.incarnation))
        self.spawn(self._bury(child))

    async def _bury(self, child: LivingChild) -> None:
        os.close(child.pidfd)
        self.forget_sender(child.pid)
        code = child.process.exitcode
        swept, kept = SweptLog(child.redactor), {living.pid for living in self.children.values() if living is not child}
        swept.note_all(kept)
        # When its actor was killed, nobody else does this; when not, there is nothing of it left.
        groups = self.groups.below(child.id, child.incarnation)
        groups.kill()
        await sweep(
            lambda: {living.pid for living in self.children.values() if living is not child}, partial(self._stuck, child), swept.note
        )
        groups.remove()
        how = self._how_it_ended(child, code)
        del self.children[child.id]
        ignored = child.last_word is not None and child.last_word.ignored and child.cause is None
        evidence = evidence_of(child, swept.swept, self.begin.context.state_dir)
        self.reporter.tell(
            f"{child.kind}_{'ignored' if ignored else 'exited'}",
            child.id,
            child.incarnation,
            exit={
                "class": how.exit_class.value,
                "reason": how.reason,
                "last_error": how.last_error,
                "during_start": how.during_start,
            },
            swept=[process.pid for process in evidence.swept],
            **({} if how.is_normal else {"evidence": asdict(evidence)}),
        )
        if child.started:
            self.tell_core(e.ChildExited(child.id, child.incarnation, how))
        elif ignored:
            self.tell_core(e.ChildIgnored(child.id, child.incarnation))
        else:
            self.tell_core(e.ChildStartFailed(child.id, child.incarnation, how))

    def clean_up(self) -> None:
        """Nothing below us lives: remove the control groups below ours."""
        self.groups.remove()

    def _how_it_ended(self, child: LivingChild, code: int | None) -> Exit:
        if child.cause is not None:
            return child.cause
        if child.last_word is not None:
            how = child.last_word.exit
            return replace(how, reason=f"{how.reason}, after STOPPING=1") if child.announced_stop and not child.stopping else how
        exit_class = ExitClass.SHUTDOWN if child.stopping else ExitClass.CRASH
        if code is not None and code < 0:
            return Exit(exit_class, f"its actor died by {signal_name(-code)}")
        return Exit(exit_class, f"its actor ended with status {code}")

    def _set_deadline(self, child: LivingChild, seconds: float, missed: Callable[[LivingChild], None]) -> None:
        child.deadline = self.loop.call_later(seconds, self._at_deadline, child, missed)

    def _at_deadline(self, child: LivingChild, missed: Callable[[LivingChild], None]) -> None:
        # It may have asked for more time since.
        left = child.extended_until - self.loop.time()
        if left > 0:
            self._set_deadline(child, left, missed)
        else:
            missed(child)

    def _forget_deadline(self, child: LivingChild) -> None:
        if child.deadline is not None:
            child.deadline.cancel()
            child.deadline = None

    # Neighbours and services

    def neighbours(self) -> list[tuple[int, Outbox]]:
        """The supervisors above and directly below, by pid."""
        below = [(child.pid, child.channel) for child in self.children.values() if child.kind == "supervisor"]
        return [(self.parent_pid, self.supervisor), *below]

    def _pass_on(self, message: Any, origin: int | None) -> None:
        for pid, neighbour in self.neighbours():
            if pid != origin:
                neighbour.tell(message)

    def _watch(self, child: LivingChild) -> None:
        spec = child.spec.start
        if isinstance(spec, AgentSpec):
            self._send_to_heartbeat(
                Watch(child.id, child.incarnation, spec.heartbeat, child.pid, child.program_pid, child.watchdog, not child.begun)
            )

    def _send_to_heartbeat(self, message: Any) -> None:
        if self.heartbeat is not None:
            self.heartbeat.tell(message)

    def tell_registry(self, message: Any) -> bool:
        """Tell the registry something, if there is one."""
        if self.registry is None:
            return False
        self.registry.tell(message)
        return True


_PERFORMED_BY: dict[type, str] = {
    c.StartChild: "_start_child",
    c.StopChild: "_stop_child",
    c.KillChild: "_kill_child",
    c.SetTimer: "_set_timer",
    c.CancelTimer: "_cancel_timer",
    c.ParkQuotaGroup: "_park_quota_group",
    c.Reply: "_reply",
    c.Report: "_report",
    c.ExitSupervisor: "_exit",
}
