"""What the children and the heartbeat actor report to a supervisor about the life of the children, and which of them it condemns."""

import asyncio
import contextlib
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from thespian.actors import ActorAddress

from suptree.actors.base.channel import Outbox
from suptree.actors.base.messages import (
    Condemned,
    Hears,
    Notified,
    Refused,
    RunsAs,
    Silent,
    Stalled,
    Started,
    Suspect,
    Unwatch,
    Unwatched,
    Watch,
)
from suptree.actors.deaths.evidence import shortened
from suptree.actors.events import event_types as ev
from suptree.actors.exits import CauseId, Exit, ExitClass
from suptree.actors.heartbeat.stamp_watch import StampWatch
from suptree.actors.kernel.linux import parent_of
from suptree.actors.spec.agent_spec import AgentSpec, HeartbeatSpec

from .children import Children, LivingChild
from .reporter import Reporter

# The heartbeat actor may itself be dead.
_HEARD_OUT_WITHIN = 0.5
_STATUS_WIDTH = 500

_SILENT = {"actor": CauseId.NO_PING_FROM_ACTOR, "program": CauseId.NO_PING_FROM_PROGRAM}
"""The cause by the source of the pings that do not come."""


class SignsOfLife:
    """Knows which children are up, and ends those that are silent, unwell, stuck or late: the cause is recorded first.

    `heartbeat` is the channel to the heartbeat actor of the moment, which watches agents and supervisors: the latter by the rules in `own`.
    `services` watches the services. `is_up` is called when a child runs and is ready, `stop` to end a child
    as its spec says, for a cause.
    """

    def __init__(
        self,
        children: Children,
        reporter: Reporter,
        *,
        heartbeat: Callable[[], Outbox | None],
        own: HeartbeatSpec,
        services: StampWatch,
        is_up: Callable[[LivingChild], None],
        stop: Callable[[LivingChild, Exit], None],
    ) -> None:
        self._children = children
        self._reporter = reporter
        self._heartbeat = heartbeat
        self._own = own
        self._services = services
        self._call_is_up = is_up
        self._stop = stop

    # What the supervisor asks

    def await_start(self, child: LivingChild) -> None:
        """Watch a child that has just been forked. An agent has its startup timeout to be ready."""
        self.watch(child)
        spec = child.spec.start
        if isinstance(spec, AgentSpec):
            child.deadline = child.deadlines.set(spec.heartbeat.startup_timeout, partial(self._startup_timed_out, child))

    def watch(self, child: LivingChild) -> None:
        """Tell the heartbeat actor what to expect of a child now."""
        spec = child.spec.start
        if isinstance(spec, AgentSpec):
            self._tell_heartbeat(
                Watch(
                    child.id,
                    child.incarnation,
                    spec.heartbeat,
                    child.pid,
                    child.program_pid,
                    child.watchdog,
                    not child.begun,
                    child.user_id,
                    suspect=child.suspect,
                )
            )
        elif child.kind is ev.Kind.SUPERVISOR:
            # It pings from its first moment on, however long its children take to start.
            self._tell_heartbeat(Watch(child.id, child.incarnation, self._own, child.pid, alone=True, suspect=child.suspect))
        elif not child.begun:
            self._services.watch(child.id, child.incarnation, child.pid)

    def watch_all(self) -> None:
        """Tell a heartbeat actor that is new what to expect of every child."""
        for child in self._children.values():
            self.watch(child)

    def forget_deadline(self, child: LivingChild) -> None:
        """The child has done in time what it had to do, or is no longer expected to."""
        if child.deadline is not None:
            child.deadline.cancel()
            child.deadline = None

    def child_is_gone(self, child: LivingChild) -> None:
        """The actor of a child is dead: nothing more is expected of the child."""
        child.gone = True
        self.forget_deadline(child)
        if child.kind is ev.Kind.SERVICE:
            self._services.unwatch(child.id, child.incarnation)
        else:
            self._tell_heartbeat(Unwatch(child.id, child.incarnation))

    def child_is_unkillable(self, child: LivingChild) -> None:
        """Something of the child does not end. Where its program has, another process may get the pid of that, and is not heard for it."""
        if child.program_pid is not None and parent_of(child.program_pid) != child.pid:
            child.program_pid = None
            if not child.gone:
                self.watch(child)

    async def hear_out(self, child: LivingChild) -> None:
        """Wait for what the program of a dead child said last: by way of the heartbeat actor it may come after the news of its end."""
        if child.notifies and self._heartbeat() is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HEARD_OUT_WITHIN):
                    await child.heard_out.wait()

    def condemn(self, child: LivingChild, cause: Exit, *, immediately: bool = False) -> None:
        """End a child for a cause that is recorded first, so that its exit is classed by it; `immediately` when it can hear nothing anyway.

        A child that is being stopped already, for another cause or on request, is given the time that its stop may take, and no less;
        one that may take for ever, as a supervisor may, is not waited for when it can hear nothing.
        """
        if child.cause is not None or (child.stopping and not (immediately and math.isinf(child.stop_time))):
            return
        child.cause = cause
        self._reporter.report(ev.Stopping(*child.life, why=f"{cause.exit_class}: {cause.reason}"))
        if immediately or not child.started:
            child.kill()
        else:
            self._stop(child, cause)

    # Messages of the child

    def on_started(self, started: Started, sender: ActorAddress) -> None:
        child = self._children.named_by(started)
        if child is None:
            return
        child.real_address, child.program_pid = sender, started.pid
        self._reporter.report(ev.Started(*child.life, pid=started.pid, ready=started.ready or child.started))
        child.begun = True
        child.learn_secrets()
        self.watch(child)
        if started.ready:
            self._is_up(child)

    def on_condemned(self, condemned: Condemned, _sender: ActorAddress) -> None:
        if child := self._children.named_by(condemned):
            self.condemn(child, Exit(condemned.exit_class, condemned.why, cause=condemned.cause))

    def on_stalled(self, stalled: Stalled, _sender: ActorAddress) -> None:
        if child := self._children.named_by(stalled):
            self._reporter.report(ev.Stalled(*child.life, seconds=stalled.seconds))

    def on_runs_as(self, runs_as: RunsAs, _sender: ActorAddress) -> None:
        if child := self._children.named_by(runs_as):
            child.user_id = runs_as.user_id
            self.watch(child)

    # Verdicts: of the heartbeat actor, and of the watch over the services

    def judged(self, verdict: Silent | Suspect) -> None:
        """A service is silent, or suspect."""
        if isinstance(verdict, Silent):
            self.on_silent(verdict, None)
        else:
            self.on_suspect(verdict, None)

    def on_silent(self, silent: Silent, _sender: ActorAddress) -> None:
        child = self._children.named_by(silent)
        # What the child said meanwhile may have taken its watchdog away.
        if child is not None and (silent.source == "actor" or child.watchdog is not None):
            cause = Exit(ExitClass.HUNG, f"no ping from its {silent.source} for {silent.age:.1f} s", cause=_SILENT[silent.source])
            self.condemn(child, cause, immediately=silent.source == "actor")

    def on_suspect(self, suspect: Suspect, _sender: ActorAddress) -> None:
        if child := self._children.named_by(suspect):
            child.suspect = suspect.suspect
            self._reporter.report(ev.Suspect(*child.life, suspect=suspect.suspect, age=suspect.age))

    def on_notified(self, notified: Notified, _sender: ActorAddress) -> None:
        child = self._children.named_by(notified)
        if child is None:
            return
        said, watchdog = notified.said, child.watchdog
        child.hear(said)
        if said.status is not None:
            # Cut only where no secret is left that could be cut in two.
            status = shortened(child.redactor.text(said.status), _STATUS_WIDTH)
            self._reporter.report(ev.StatusText(*child.life, status=status, skipped=notified.skipped))
        if said.ready and not child.started:
            self._reporter.report(ev.Ready(*child.life))
            self._is_up(child)
        if said.stopping and child.started and not child.stopping and child.deadline is None:
            # It has as long as a stop on request may take.
            self._reporter.report(ev.Stopping(*child.life, why="it said STOPPING=1"))
            if child.gone:
                return
            child.deadline = child.deadlines.set(child.stop_time, partial(self._announced_stop_timed_out, child))
        if child.gone:
            return
        if child.watchdog != watchdog:
            self.watch(child)
        child.channel.tell(notified)
        if said.trigger:
            self.condemn(child, Exit(ExitClass.HUNG, "it said WATCHDOG=trigger", cause=CauseId.WATCHDOG_TRIGGER))

    def on_hears(self, hears: Hears, _sender: ActorAddress) -> None:
        if child := self._children.named_by(hears):
            child.channel.tell(hears)

    def on_refused(self, refused: Refused, _sender: ActorAddress) -> None:
        if child := self._children.named_by(refused):
            counts = ev.NotificationsRefused(*child.life, strangers=refused.strangers, malformed=refused.malformed)
            self._reporter.report(counts)

    def on_unwatched(self, unwatched: Unwatched, _sender: ActorAddress) -> None:
        if child := self._children.named_by(unwatched):
            child.heard_out.set()

    # Inside

    def _tell_heartbeat(self, message: Any) -> None:
        heartbeat = self._heartbeat()
        if heartbeat is not None:
            heartbeat.tell(message)

    def _is_up(self, child: LivingChild) -> None:
        self.forget_deadline(child)
        child.started = True
        self._call_is_up(child)

    def _startup_timed_out(self, child: LivingChild) -> None:
        start: AgentSpec = child.spec.start
        cause = CauseId.NOT_READY if child.begun else CauseId.NOT_STARTED
        why = f"not ready within {start.heartbeat.startup_timeout} s"
        self.condemn(child, Exit(ExitClass.STARTUP_TIMEOUT, why, during_start=True, cause=cause))

    def _announced_stop_timed_out(self, child: LivingChild) -> None:
        why = f"it said STOPPING=1, and did not end within {child.stop_time:g} s"
        self.condemn(child, Exit(ExitClass.HUNG, why, cause=CauseId.STOP_NOT_FINISHED))
