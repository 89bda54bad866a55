"""While one child starts, the process of the next one is forked beside it: it waits to be told what it is, and is nobody until then.

In what order children start is not touched by this, only how long it takes: to fork an actor costs its supervisor about as long as the
actor before needs to start its program.
"""

import multiprocessing.process
import os
from asyncio import TimerHandle
from typing import NamedTuple

from thespian.actors import Actor, ActorAddress

from suptree.actors.base.loop_actor import LoopActor
from suptree.actors.kernel.sweep import end_child

# What the child that starts now is to be told leaves first.
_AFTER = 0.002


class Forked(NamedTuple):
    """An actor whose process has just been forked. Its pidfd was opened at once: whenever it dies, that tells."""

    address: ActorAddress
    pid: int
    process: multiprocessing.process.BaseProcess
    pidfd: int


class ForkAhead:
    """The processes of one supervisor's next children; there is one at most."""

    def __init__(self, supervisor: LoopActor) -> None:
        self._supervisor = supervisor
        self._expected: type[Actor] | None = None
        self._timer: TimerHandle | None = None
        self._ready: Forked | None = None

    @property
    def pids(self) -> set[int]:
        """What must not be taken for an orphan."""
        return set() if self._ready is None else {self._ready.pid}

    def expect(self, actor_class: type[Actor] | None) -> None:
        """Such an actor will be needed next; None: none will."""
        if actor_class is self._expected:
            return
        self._expected = actor_class
        if self._ready is not None:
            os.close(self._ready.pidfd)
            self._supervisor.spawn(end_child(self._ready.pid))
            self._ready = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if actor_class is not None:
            self._timer = self._supervisor.loop.call_later(_AFTER, self._fork_ahead, actor_class)

    def fork(self, actor_class: type[Actor]) -> Forked:
        """An actor of that class: the one that is ready, if it is such a one, else a new one."""
        ready = self._ready if actor_class is self._expected else None
        if ready is not None:
            self._ready = self._expected = None
            return ready
        self.expect(None)
        return self._fork(actor_class)

    def _fork(self, actor_class: type[Actor]) -> Forked:
        address, pid, process = self._supervisor.fork(actor_class)
        return Forked(address, pid, process, os.pidfd_open(pid))

    def _fork_ahead(self, actor_class: type[Actor]) -> None:
        self._timer = None
        self._ready = self._fork(actor_class)
