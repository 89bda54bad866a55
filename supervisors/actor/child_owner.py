"""Owning the actors of children: forking them, knowing of their deaths, and burying them until nothing of them is left."""

import contextlib
import os
import signal
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from thespian.actors import ActorAddress

from suptree.actors.base import messages as m
from suptree.actors.base.dispatch import on
from suptree.actors.base.loop_actor import LoopActor
from suptree.actors.base.messages import Begin, Ended
from suptree.actors.deaths.evidence import SweptLog
from suptree.actors.events.event_types import Exited, Ignored, Unkillable
from suptree.actors.exits import Exit, ExitClass
from suptree.actors.kernel.cgroup import Groups
from suptree.actors.kernel.linux import signal_name
from suptree.actors.kernel.sweep import sweep

from ..spec.child_spec import ChildSpec
from .burial import evidence_of
from .children import LivingChild, actor_class, redactor_of
from .fork_ahead import ForkAhead
from .reporter import Reporter


class ChildOwner(LoopActor):
    """Owns the actors of its children; a pidfd each is how it knows of their deaths."""

    begin: Begin
    reporter: Reporter
    children: dict[str, LivingChild]
    groups = Groups()
    ahead: ForkAhead

    def __init__(self) -> None:
        super().__init__()
        self.handlers = dict([on(Ended, self.on_ended), on(m.Unkillable, self.on_unkillable)])

    def on_ended(self, ended: Ended, _sender: ActorAddress) -> None:
        child = self.living(ended)
        if child is not None:
            # Nothing of it is left but the actor, which waits for this.
            child.last_word = ended
            self.kill(child)

    def on_unkillable(self, unkillable: m.Unkillable, _sender: ActorAddress) -> None:
        if child := self.living(unkillable):
            self._stuck(child, list(unkillable.pids))

    def _stuck(self, child: LivingChild, pids: list[int]) -> None:
        # Fenced: as long as they live it is not over, and no new incarnation begins.
        self.reporter.report(Unkillable(*child.life, pids=tuple(pids)))

    def living(self, about: Any) -> LivingChild | None:
        """The child that a message or command is about, if that incarnation lives."""
        child = self.children.get(about.id)
        return child if child is not None and child.incarnation == about.incarnation else None

    def fork_child(self, spec: ChildSpec, incarnation: int) -> LivingChild:
        """Begin a new incarnation: its actor runs, and waits to be told what it is."""
        address, pid, process, pidfd = self.ahead.fork(actor_class(spec.start))
        child = LivingChild(spec, incarnation, self.open(address), pid, process, pidfd, redactor_of(spec))
        child.learn_secrets()
        self.children[spec.id] = child
        self.loop.add_reader(child.pidfd, self._child_gone, child)
        return child

    def kill(self, child: LivingChild) -> None:
        """SIGKILL for its actor."""
        # Its program dies with it; what that leaves behind becomes ours, and is swept before the burial ends.
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)

    def child_is_gone(self, child: LivingChild) -> None:
        """A hook: its actor is dead; what that left behind is being looked for."""

    async def hear_out(self, child: LivingChild) -> None:
        """A hook: before it is judged how it ended."""

    def child_ended(self, child: LivingChild, how: Exit, *, ignored: bool) -> None:
        """A hook: it is buried."""

    def _child_gone(self, child: LivingChild) -> None:
        self.loop.remove_reader(child.pidfd)
        self.child_is_gone(child)
        self.spawn(self._bury(child))

    async def _bury(self, child: LivingChild) -> None:
        os.close(child.pidfd)
        self.forget_sender(child.pid)
        code = child.process.exitcode
        swept = SweptLog(child.redactor)

        def others() -> set[int]:
            return {living.pid for living in self.children.values() if living is not child} | self.ahead.pids

        swept.note_all(others())
        # When its actor was killed, nobody else does this; when not, there is nothing of it left.
        groups = self.groups.below(child.id, child.incarnation)
        groups.kill()
        await sweep(others, partial(self._stuck, child), swept.note)
        groups.remove()
        await self.hear_out(child)
        how = self._how_it_ended(child, code)
        del self.children[child.id]
        ignored = child.last_word is not None and child.last_word.ignored and child.cause is None
        evidence = evidence_of(child, swept.swept, self.begin.context.state_dir)
        end = (Ignored if ignored else Exited)(*child.life, exit=how, swept=tuple(process.pid for process in evidence.swept))
        self.reporter.report(end, evidence=None if how.is_normal else asdict(evidence))
        self.child_ended(child, how, ignored=ignored)

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

    def clean_up(self) -> None:
        """Nothing below us lives: remove the control groups below ours."""
        self.groups.remove()
