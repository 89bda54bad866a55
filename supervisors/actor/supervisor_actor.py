"""The actor around a core: turns messages into events, and performs the commands. It decides nothing, and its parts do the work."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from thespian.actors import Actor, ActorAddress

from suptree.actors.base.dispatch import Handlers, on
from suptree.actors.base.life_stamps import STAMPS
from suptree.actors.base.loop_actor import LoopActor
from suptree.actors.base.messages import (
    AgentAnswered,
    Begin,
    ClientRequest,
    Condemned,
    Ended,
    Flushed,
    Hears,
    Notified,
    QuotaHit,
    Refused,
    RunsAs,
    Services,
    Silent,
    Stalled,
    Started,
    Stop,
    Suspect,
    Unkillable,
    Unwatched,
    is_for,
)
from suptree.actors.events.event_types import Decided, Exited, Kind, Starting, Stopping, WaitCancelled
from suptree.actors.exits import Exit, ExitClass
from suptree.actors.heartbeat.heartbeat_actor import HeartbeatActor
from suptree.actors.heartbeat.stamp_watch import StampWatch
from suptree.actors.kernel.linux import set_name, this_process
from suptree.actors.native.native_agent import NativeAgent
from suptree.actors.notify.notification import Pinger
from suptree.actors.program.process_agent import ProcessAgent
from suptree.actors.record.journal import lives_before
from suptree.actors.record.registry import JOURNAL_FILE, RegistryActor
from suptree.actors.spec.agent_spec import AgentSpec
from suptree.actors.state import AgentType

from ..core.core import SupervisorCore
from ..decisions import core_commands as c
from ..decisions import core_events as e
from ..decisions.timers import TimerUse
from ..spec.tree_spec import SupervisorSpec
from .child_processes import ChildProcesses
from .children import Children, LivingChild, ServiceSpec, description, kind, redactor_of
from .client_requests import ClientRequests
from .core_timers import CoreTimers
from .flushing import Flushing
from .fork_ahead import ForkAhead
from .forks_again import ForksAgain
from .neighbours import Above, Neighbours
from .place import BelowSupervisor, Place
from .reporter import Reporter
from .signs_of_life import SignsOfLife

KILLED = "killed on request"
"""The reason of a child that was given no time to stop."""


class SupervisorActor(LoopActor):
    """Tells its core what happens to the children, and does to them what the core orders."""

    place: Place
    core: SupervisorCore | None = None
    """None before the Begin, and once the parent is dead."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers = dict([on(Begin, self.on_begin)])

    # Wiring

    def on_begin(self, begin: Begin, sender: ActorAddress) -> None:
        self.supervisor = self.open(sender)
        self.every(begin.context.heartbeat.interval, Pinger(begin.context.runtime_dir).ping)
        self.supervise(begin, BelowSupervisor(self, begin, Above(self.parent_pid, self.supervisor)))

    def supervise(self, begin: Begin, place: Place) -> None:
        """Make the parts, and start the children."""
        set_name(f"st:{begin.id}")
        self.place = place
        self.groups = begin.context.groups.below(begin.id, begin.incarnation)
        self.begin = replace(begin, context=replace(begin.context, groups=self.groups))
        spec: SupervisorSpec = begin.spec
        state_dir = begin.context.state_dir
        lives = lives_before(Path(state_dir) / JOURNAL_FILE, begin.context.run_id, [child.id for child in spec.children])
        self.announced = False
        self.have_run: set[str] = set()
        """The children that were up once."""
        self.children = Children()
        self.neighbours = Neighbours(
            self.children,
            place.above,
            self.open,
            new_registry=self._registry_is_new,
            new_heartbeat=self._heartbeat_is_new,
        )
        self.reporter = Reporter(begin.id, f"{begin.context.run_id}:{this_process()}", self.neighbours.tell_registry)
        self.flushing = Flushing(self.loop, self.neighbours.tell_registry)
        self.ahead = ForkAhead(self)
        self.signs = SignsOfLife(
            self.children,
            self.reporter,
            heartbeat=lambda: self.neighbours.heartbeat,
            own=begin.context.heartbeat,
            services=StampWatch(self.loop, STAMPS, begin.context.heartbeat, self._service_judged),
            is_up=self._child_is_up,
            stop=self._stop_condemned,
        )
        self.processes = ChildProcesses(
            self,
            self.children,
            self.ahead,
            self.reporter,
            groups=self.groups,
            state_dir=state_dir,
            gone=self._child_is_gone,
            hear_out=self.signs.hear_out,
            buried=self._child_ended,
            unkillable=self._child_is_unkillable,
        )
        self.forks_again = ForksAgain(self.loop, self._start_child, self._could_not_fork)
        self.timers = CoreTimers(self.loop, self.children, self.tell_core)
        core = SupervisorCore(spec.flags, spec.children, lives=lives, uniform=random.uniform)
        self.requests = ClientRequests(
            spec.children,
            core,
            self.children,
            state_dir,
            row=self.reporter.row,
            report=self.reporter.report,
            tell_core=self.tell_core,
            answer=self.neighbours.tell_registry,
            shut_down=self.shut_down,
        )
        self.handlers = self._handlers()
        self.performers = self._performers()
        self.neighbours.use(begin.services)
        self.core = core
        self.tell_core(e.SupervisorStarted())

    def _handlers(self) -> Handlers:
        """What handles each message, by its type."""
        return dict(
            [
                on(Ended, self.processes.on_ended),
                on(Unkillable, self.processes.on_unkillable),
                on(Started, self.signs.on_started),
                on(Condemned, self.signs.on_condemned),
                on(Stalled, self.signs.on_stalled),
                on(Silent, self.signs.on_silent),
                on(Suspect, self.signs.on_suspect),
                on(Notified, self.signs.on_notified),
                on(RunsAs, self.signs.on_runs_as),
                on(Hears, self.signs.on_hears),
                on(Refused, self.signs.on_refused),
                on(Unwatched, self.signs.on_unwatched),
                on(AgentAnswered, lambda answered, _sender: self.requests.agent_answered(answered)),
                on(ClientRequest, lambda request, _sender: self.requests.take(request)),
                on(Services, lambda services, _sender: self.neighbours.use(services)),
                on(Stop, self.on_stop),
                on(Flushed, lambda flushed, _sender: self.flushing.flushed(flushed.number)),
                on(QuotaHit, self.on_quota_hit),
            ]
        )

    def _performers(self) -> dict[type, Callable[[Any], None]]:
        """What performs each command of the core, by its type."""
        return dict(
            [
                on(c.StartChild, self._start_child),
                on(c.StopChild, self._stop_child),
                on(c.KillChild, self._kill_child),
                on(c.SetTimer, self.timers.set),
                on(c.CancelTimer, self._cancel_timer),
                on(c.ParkQuotaGroup, self._park_quota_group),
                on(c.Reply, self.requests.conclude),
                on(c.Report, self._report),
                on(c.ExitSupervisor, self._exit),
            ]
        )

    # The core

    def tell_core(self, event: e.Event) -> None:
        """Hand the core one event and perform what it orders."""
        if self.core is None:
            return
        for command in self.core.handle(event, time.monotonic()):
            self.performers[type(command)](command)
        self.ahead.expect(None if self.core.next_start is None else actor_class(self.core.next_start.start))
        if not self.announced and self.core.is_up:
            self.announced = True
            self.flushing.then(partial(self.place.announce, self.reporter))

    def on_stop(self, stop: Stop, _sender: ActorAddress) -> None:
        if is_for(stop, self.begin):
            self.shut_down()

    def shut_down(self) -> None:
        """Stop all children in reverse order, then exit; a second call kills what still stops."""
        if self.core is None:
            self._exit(c.ExitSupervisor(Exit(ExitClass.SHUTDOWN, "stop requested")))
        else:
            self.tell_core(e.ShutdownRequested())

    def on_quota_hit(self, hit: QuotaHit, _sender: ActorAddress) -> None:
        self.tell_core(e.QuotaGroupParked(hit.quota_group, hit.retry_after))
        self.neighbours.pass_on(hit, self.origin)

    # What the core orders

    def _start_child(self, command: c.StartChild) -> None:
        spec, incarnation = command.spec, command.incarnation
        if self.core is None:
            return
        try:
            child = self.processes.fork(spec, incarnation, actor_class(spec.start))
        except OSError as error:
            if self.forks_again.could_not(command, error):
                described = description(spec, redactor_of(spec))
                life = kind(spec.start), spec.id, incarnation
                self.reporter.report(Starting(*life, restarts=command.restarts, actor_pid=None, **described))
            return
        self.forks_again.could(spec.id)
        self.reporter.report(Starting(*child.life, restarts=command.restarts, actor_pid=child.pid, **description(spec, child.redactor)))
        self.signs.await_start(child)
        services = self.neighbours.services
        ran = spec.id in self.have_run
        child.channel.tell(Begin(spec.id, incarnation, command.restarts, spec.start, self.begin.context, services, self.begin.id, ran))

    def _could_not_fork(self, command: c.StartChild, how: Exit) -> None:
        self.reporter.report(Exited(kind(command.spec.start), command.spec.id, command.incarnation, exit=how))
        self.tell_core(e.ChildStartFailed(command.spec.id, command.incarnation, how))

    def _stop_child(self, command: c.StopChild) -> None:
        self.forks_again.take_back(command)
        if child := self.children.named_by(command):
            if child.cause is None:
                self.reporter.report(Stopping(*child.life))
            self.signs.forget_deadline(child)
            child.stopping = True
            if not child.gone:
                child.channel.tell(Stop(child.id, child.incarnation))

    def _kill_child(self, command: c.KillChild) -> None:
        self.forks_again.take_back(command)
        if child := self.children.named_by(command):
            if child.cause is None:
                child.cause = Exit(ExitClass.SHUTDOWN, KILLED)
                self.reporter.report(Stopping(*child.life, why="SIGKILL"))
            child.kill()

    def _cancel_timer(self, command: c.CancelTimer) -> None:
        timer = command.timer
        row = self.reporter.row(timer.child_id)
        if self.timers.cancel(command) and timer.use is TimerUse.RESUME and row is not None:
            self.reporter.report(WaitCancelled(Kind(row["kind"]), row["id"], row["incarnation"]))

    def _park_quota_group(self, command: c.ParkQuotaGroup) -> None:
        self.neighbours.pass_on(QuotaHit(command.quota_group, command.retry_after), None)

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
        self.timers.cancel_all()
        self.flushing.then(partial(self.place.say_goodbye, command.exit))

    # The lives of the children

    def _child_is_up(self, child: LivingChild) -> None:
        if child.kind is Kind.SERVICE:
            self.neighbours.service_is_up(child.id, child.real_address)
        self.have_run.add(child.id)
        self.tell_core(e.ChildStarted(child.id, child.incarnation))

    def _service_judged(self, verdict: Silent | Suspect) -> None:
        self.signs.judged(verdict)

    def _stop_condemned(self, child: LivingChild, cause: Exit) -> None:
        self.tell_core(e.ChildCondemned(child.id, child.incarnation, cause.exit_class, cause.reason))

    def _child_is_gone(self, child: LivingChild) -> None:
        self.signs.child_is_gone(child)
        if child.kind is Kind.SERVICE:
            # What it had opened is kept for the next one.
            HeartbeatActor.notify_sockets.keep()
            self.neighbours.service_is_gone(child.id)

    def _child_is_unkillable(self, child: LivingChild) -> None:
        if child.gone:
            self.requests.child_ended(child)
        self.signs.child_is_unkillable(child)
        self.tell_core(e.ChildUnkillable(child.id, child.incarnation))

    def _child_ended(self, child: LivingChild, how: Exit, ignored: bool) -> None:
        self.requests.child_ended(child)
        if child.started:
            self.tell_core(e.ChildExited(child.id, child.incarnation, how))
        elif ignored:
            self.tell_core(e.ChildIgnored(child.id, child.incarnation))
        else:
            self.tell_core(e.ChildStartFailed(child.id, child.incarnation, how))

    # Services that are new

    def _registry_is_new(self) -> None:
        self.reporter.report_all_again()
        self.flushing.ask_again()

    def _heartbeat_is_new(self) -> None:
        self.signs.watch_all()

    # The end of the parent

    def parent_died(self) -> None:
        """Decide nothing any more: what the core would start again while everything below is ended would never end."""
        self.core = None
        super().parent_died()

    def clean_up(self) -> None:
        """No process below this supervisor is left: remove the control groups below its own."""
        self.groups.remove()
        self.place.clean_up()


_AGENTS: dict[AgentType, type[Actor]] = {AgentType.PROCESS_WRAPPER: ProcessAgent, AgentType.NATIVE_LLM: NativeAgent}
_SERVICES: dict[str, type[Actor]] = {"registry": RegistryActor, "heartbeat": HeartbeatActor}


def actor_class(start: Any) -> type[Actor]:
    """The actor that runs a spec."""
    if isinstance(start, AgentSpec):
        return _AGENTS[start.agent_type]
    if isinstance(start, ServiceSpec):
        return _SERVICES[start.name]
    return SupervisorActor
