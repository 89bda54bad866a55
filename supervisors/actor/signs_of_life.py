"""What a supervisor hears of the life of its children, from themselves and from the heartbeat actor, and whom it condemns for it."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from thespian.actors import ActorAddress

from suptree.actors.base.channel import Outbox
from suptree.actors.base.dispatch import on
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
from suptree.actors.events import event_types as ev
from suptree.actors.exits import Exit, ExitClass
from suptree.actors.spec.agent_spec import AgentSpec

from .child_owner import ChildOwner
from .children import LivingChild

# The heartbeat actor may itself be dead.
_HEARD_OUT_WITHIN = 0.5


class SignsOfLife(ChildOwner):
    """Knows which of its children are up, and ends those that are silent, unwell, stuck or late: the cause is recorded first."""

    heartbeat: Outbox | None = None

    def __init__(self) -> None:
        super().__init__()
        self.handlers |= dict(
            [
                on(Started, self.on_started),
                on(Condemned, self.on_condemned),
                on(Stalled, self.on_stalled),
                on(Silent, self.on_silent),
                on(Suspect, self.on_suspect),
                on(Notified, self.on_notified),
                on(RunsAs, self.on_runs_as),
                on(Hears, self.on_hears),
                on(Refused, self.on_refused),
                on(Unwatched, self.on_unwatched),
            ]
        )

    def on_started(self, started: Started, sender: ActorAddress) -> None:
        child = self.living(started)
        if child is None:
            return
        child.real_address, child.program_pid = sender, started.pid
        self.reporter.report(ev.Started(*child.life, pid=started.pid, ready=started.ready or child.started))
        child.begun = True
        child.learn_secrets()
        self.watch(child)
        if started.ready:
            self._is_up(child)

    def on_condemned(self, condemned: Condemned, _sender: ActorAddress) -> None:
        if child := self.living(condemned):
            self.condemn(child, Exit(condemned.exit_class, condemned.why))

    def on_stalled(self, stalled: Stalled, _sender: ActorAddress) -> None:
        if child := self.living(stalled):
            self.reporter.report(ev.Stalled(*child.life, seconds=stalled.seconds))

    def on_silent(self, silent: Silent, _sender: ActorAddress) -> None:
        child = self.living(silent)
        # What it said meanwhile may have taken its watchdog away.
        if child is not None and (silent.source == "actor" or child.watchdog is not None):
            cause = Exit(ExitClass.HUNG, f"no ping from its {silent.source} for {silent.age:.1f} s")
            self.condemn(child, cause, at_once=silent.source == "actor")

    def on_suspect(self, suspect: Suspect, _sender: ActorAddress) -> None:
        child = self.living(suspect)
        if child is not None:
            self.reporter.report(ev.Suspect(*child.life, suspect=suspect.suspect, age=suspect.age))

    def on_notified(self, notified: Notified, _sender: ActorAddress) -> None:
        child = self.living(notified)
        if child is None:
            return
        said, watchdog = notified.said, child.watchdog
        child.hear(said, self.loop.time())
        if said.status is not None:
            self.reporter.report(ev.StatusText(*child.life, status=child.redactor.text(said.status)))
        if said.ready and not child.started:
            self.reporter.report(ev.Ready(*child.life))
            self._is_up(child)
        if said.stopping and child.started and not child.stopping and child.deadline is None:
            # It has as long as a stop on request may take.
            self.reporter.report(ev.Stopping(*child.life, why="it said STOPPING=1"))
            if child.gone:
                return
            self._set_deadline(child, child.stop_time, self._announced_stop_timed_out)
        if child.gone:
            return
        if child.watchdog != watchdog:
            self.watch(child)
        child.channel.tell(notified)
        if said.trigger:
            self.condemn(child, Exit(ExitClass.HUNG, "it said WATCHDOG=trigger"))

    def on_runs_as(self, runs_as: RunsAs, _sender: ActorAddress) -> None:
        if child := self.living(runs_as):
            child.user_id = runs_as.user_id
            self.watch(child)

    def on_hears(self, hears: Hears, _sender: ActorAddress) -> None:
        if child := self.living(hears):
            child.channel.tell(hears)

    def on_refused(self, refused: Refused, _sender: ActorAddress) -> None:
        if child := self.living(refused):
            counts = ev.NotificationsRefused(*child.life, strangers=refused.strangers, malformed=refused.malformed)
            self.reporter.report(counts)

    def condemn(self, child: LivingChild, cause: Exit, *, at_once: bool = False) -> None:
        """End a child for a cause that is recorded first, so that its exit is classed by it; `at_once` when it cannot hear us anyway.

        One that is being stopped already, for another cause or on request, is given the time that this may take, and no less.
        """
        if child.cause is not None or child.stopping:
            return
        child.cause = cause
        self.reporter.report(ev.Stopping(*child.life, why=f"{cause.exit_class}: {cause.reason}"))
        if at_once or not child.started:
            self.kill(child)
        else:
            self.stop_condemned(child, cause)

    def stop_condemned(self, child: LivingChild, cause: Exit) -> None:
        """A hook: end it as its spec says, for this cause."""

    def child_is_up(self, child: LivingChild) -> None:
        """A hook: it runs, and is ready."""

    def child_is_gone(self, child: LivingChild) -> None:
        """Nothing more is expected of it."""
        super().child_is_gone(child)
        child.gone = True
        self.forget_deadline(child)
        if child.kind == "agent":
            self._send_to_heartbeat(Unwatch(child.id, child.incarnation))

    async def hear_out(self, child: LivingChild) -> None:
        """What its program said last may still be on its way, by another one than the news of its end."""
        if child.notifies and self.heartbeat is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HEARD_OUT_WITHIN):
                    await child.heard_out.wait()

    def on_unwatched(self, unwatched: Unwatched, _sender: ActorAddress) -> None:
        if child := self.living(unwatched):
            child.heard_out.set()

    def watch(self, child: LivingChild) -> None:
        """Tell the heartbeat actor what to expect of it now."""
        spec = child.spec.start
        if isinstance(spec, AgentSpec):
            self._send_to_heartbeat(
                Watch(
                    child.id,
                    child.incarnation,
                    spec.heartbeat,
                    child.pid,
                    child.program_pid,
                    child.watchdog,
                    not child.begun,
                    child.user_id,
                )
            )

    def _send_to_heartbeat(self, message: Any) -> None:
        if self.heartbeat is not None:
            self.heartbeat.tell(message)

    def await_start(self, child: LivingChild) -> None:
        """An agent has its startup timeout to be ready."""
        spec = child.spec.start
        if isinstance(spec, AgentSpec):
            self._set_deadline(child, spec.heartbeat.startup_timeout, self._startup_timed_out)

    def _set_deadline(self, child: LivingChild, seconds: float, missed: Callable[[LivingChild], None]) -> None:
        child.deadline = self.loop.call_later(seconds, self._at_deadline, child, missed)

    def _at_deadline(self, child: LivingChild, missed: Callable[[LivingChild], None]) -> None:
        # It may have asked for more time since.
        left = child.extended_until - self.loop.time()
        if left > 0:
            self._set_deadline(child, left, missed)
        else:
            missed(child)

    def forget_deadline(self, child: LivingChild) -> None:
        """Whatever it was to do in time, it is no longer waited for."""
        if child.deadline is not None:
            child.deadline.cancel()
            child.deadline = None

    def _is_up(self, child: LivingChild) -> None:
        self.forget_deadline(child)
        child.started = True
        self.child_is_up(child)

    def _startup_timed_out(self, child: LivingChild) -> None:
        start: AgentSpec = child.spec.start
        self.condemn(child, Exit(ExitClass.STARTUP_TIMEOUT, f"not ready within {start.heartbeat.startup_timeout} s", during_start=True))

    def _announced_stop_timed_out(self, child: LivingChild) -> None:
        self.condemn(child, Exit(ExitClass.HUNG, f"it said STOPPING=1, and did not end within {child.stop_time:g} s"))
