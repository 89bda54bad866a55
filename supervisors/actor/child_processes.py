"""The processes of a supervisor's children: forked, watched through a pidfd each, and buried until nothing of them is left."""

import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Protocol

from thespian.actors import Actor, ActorAddress

from suptree.actors.base import messages as m
from suptree.actors.base.channel import Outbox
from suptree.actors.base.deadlines import Deadlines
from suptree.actors.base.messages import Ended
from suptree.actors.deaths.evidence import SWEPT_KEPT, SweptLog
from suptree.actors.events.event_types import Exited, Ignored, Unkillable
from suptree.actors.exits import Exit
from suptree.actors.kernel.cgroup import Groups
from suptree.actors.kernel.end_below import EndBelow
from suptree.actors.kernel.sweep import sweep
from suptree.actors.spec.agent_spec import AgentSpec

from ..spec.child_spec import ChildSpec
from .burial import evidence_of, how_it_ended, is_explained
from .children import Children, LivingChild, redactor_of
from .fork_ahead import ForkAhead, Forks
from .reporter import Reporter

_UNKILLABLE_AFTER = 4.0


class ParentActor(Forks, Protocol):
    """What the actor offers that is the parent of the processes: see LoopActor."""

    def open(self, address: ActorAddress) -> Outbox:
        """A channel to another actor."""

    def forget_sender(self, pid: int) -> None:
        """Nothing more comes from that process."""


class ChildProcesses:
    """Forks the actors of children, and buries them.

    `gone` is called when the actor of a child is dead, while what that left behind is being ended. `hear_out` is awaited before it is
    judged how the child ended. `buried` comes last, when nothing of the child is left: how it ended, and whether it declined to start.
    `unkillable` is called when that may never be, for processes of the child do not die.
    """

    def __init__(
        self,
        parent: ParentActor,
        children: Children,
        ahead: ForkAhead,
        reporter: Reporter,
        *,
        groups: Groups,
        state_dir: str,
        gone: Callable[[LivingChild], None],
        hear_out: Callable[[LivingChild], Awaitable[None]],
        buried: Callable[[LivingChild, Exit, bool], None],
        unkillable: Callable[[LivingChild], None],
    ) -> None:
        self._parent = parent
        self._children = children
        self._ahead = ahead
        self._reporter = reporter
        self._groups = groups
        self._state_dir = state_dir
        self._gone = gone
        self._hear_out = hear_out
        self._buried = buried
        self._unkillable = unkillable
        self._stuck: dict[str, set[int]] = {}
        """By child, its processes that do not die: the burial of another child does not wait for them."""

    def fork(self, spec: ChildSpec, incarnation: int, actor_class: type[Actor]) -> LivingChild:
        """Begin a new incarnation: its actor runs, and waits for its Begin."""
        address, pid, process, pidfd = self._ahead.fork(actor_class)
        deadlines = Deadlines(self._parent.loop, spec.start.stop.extend_at_most if isinstance(spec.start, AgentSpec) else 0.0)
        channel = self._parent.open(address)
        child = LivingChild(spec, incarnation, channel, pid, process, pidfd, redactor_of(spec), deadlines, self._killed)
        child.learn_secrets()
        self._children[spec.id] = child
        self._parent.loop.add_reader(child.pidfd, self._actor_ended, child)
        return child

    def on_ended(self, ended: Ended, _sender: ActorAddress) -> None:
        if child := self._children.named_by(ended):
            # Nothing of the child is left but the actor, which waits for its end.
            child.last_word = ended
            child.kill()

    def on_unkillable(self, unkillable: m.Unkillable, _sender: ActorAddress) -> None:
        if child := self._children.named_by(unkillable):
            self._report_unkillable(child, list(unkillable.pids))

    def _report_unkillable(self, child: LivingChild, pids: list[int]) -> None:
        # Fenced: as long as these processes live the child has not ended, and no new incarnation begins.
        self._reporter.report(Unkillable(*child.life, pids=tuple(pids[:SWEPT_KEPT])))
        child.unkillable = True
        self._stuck.setdefault(child.id, set()).update(pids)
        self._unkillable(child)

    def _killed(self, child: LivingChild) -> None:
        if child.below is None:
            until = time.monotonic() + _UNKILLABLE_AFTER
            child.below = EndBelow(self._parent.loop, child.pid, child.pidfd, partial(self._does_not_die, child, until))

    def _does_not_die(self, child: LivingChild, unkillable_at: float) -> None:
        self._groups.below(child.id, child.incarnation).kill()
        if not child.unkillable and time.monotonic() > unkillable_at:
            self._report_unkillable(child, [child.pid])

    def _actor_ended(self, child: LivingChild) -> None:
        self._parent.loop.remove_reader(child.pidfd)
        if child.below is not None:
            child.below.cancel()
            # It holds the child: such a circle, and the descriptors of the child's process with it, would stay until the garbage
            # collector runs.
            child.below = None
        self._gone(child)
        self._parent.spawn(self._bury(child))

    async def _bury(self, child: LivingChild) -> None:
        os.close(child.pidfd)
        self._parent.forget_sender(child.pid)
        code = child.process.exitcode
        swept = SweptLog(child.redactor)

        def others() -> set[int]:
            stuck = {pid for other, pids in self._stuck.items() if other != child.id for pid in pids}
            return {living.pid for living in self._children.values() if living is not child} | self._ahead.pids | stuck

        swept.note_all(others())
        # An actor that was killed has not emptied its control group; one that sent its last word has.
        groups = self._groups.below(child.id, child.incarnation)
        groups.kill()
        await sweep(others, partial(self._report_unkillable, child), swept.note)
        await groups.kill_all()
        groups.remove()
        self._stuck.pop(child.id, None)
        await self._hear_out(child)
        how = how_it_ended(child, code)
        del self._children[child.id]
        self._parent.forget_child(child.channel.address)
        ignored = child.last_word is not None and child.last_word.ignored and child.cause is None
        evidence = evidence_of(child, swept, self._state_dir)
        end = (Ignored if ignored else Exited)(*child.life, exit=how, swept=tuple(process.pid for process in evidence.swept))
        self._reporter.report(end, evidence=asdict(evidence) if is_explained(child, how) and not ignored else None)
        self._buried(child, how, ignored)
