"""While one child starts, the process of the next one is forked beside it. Such a process is no child yet: it waits for its Begin.

This does not change the order in which children start, only how long they take: to fork an actor costs its supervisor about as long as
the actor before needs to start its program.
"""

import asyncio
import multiprocessing.process
import os
from collections.abc import Coroutine
from typing import Any, NamedTuple, Protocol

from thespian.actors import Actor, ActorAddress

from suptree.actors.kernel.sweep import end_child

# The messages to the child that starts now leave first.
_AFTER = 0.002


class Forks(Protocol):
    """What an actor offers that forks others: see LoopActor."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the actor."""

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine on that loop."""

    def fork(self, actor_class: type[Actor]) -> tuple[ActorAddress, int, multiprocessing.process.BaseProcess]:
        """Create a child actor; return its address, its pid and its process."""

    def forget_child(self, address: ActorAddress) -> None:
        """That child is dead, and nothing will be sent to it."""


class Forked(NamedTuple):
    """An actor whose process has just been forked. Its pidfd was opened immediately, so it shows the end of this very process."""

    address: ActorAddress
    pid: int
    process: multiprocessing.process.BaseProcess
    pidfd: int


class ForkAhead:
    """The processes of one supervisor's next children; there is one at most."""

    def __init__(self, supervisor: Forks) -> None:
        self._supervisor = supervisor
        self._expected: type[Actor] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ready: Forked | None = None

    @property
    def pids(self) -> set[int]:
        """The processes that must not be taken for orphans."""
        return set() if self._ready is None else {self._ready.pid}

    def expect(self, actor_class: type[Actor] | None) -> None:
        """An actor of that class will be needed next; None: no actor will be."""
        if actor_class is self._expected:
            return
        self._expected = actor_class
        if self._ready is not None:
            os.close(self._ready.pidfd)
            self._supervisor.spawn(end_child(self._ready.pid))
            self._supervisor.forget_child(self._ready.address)
            self._ready = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if actor_class is not None:
            self._timer = self._supervisor.loop.call_later(_AFTER, self._fork_ahead, actor_class)

    def fork(self, actor_class: type[Actor]) -> Forked:
        """An actor of that class: the one that is ready, if it is of that class, else a new one."""
        ready = self._ready if actor_class is self._expected else None
        if ready is not None:
            self._ready = self._expected = None
            return ready
        self.expect(None)
        return self._fork(actor_class)

    def _fork(self, actor_class: type[Actor]) -> Forked:
        address, pid, process = self._supervisor.fork(actor_class)
        try:
            return Forked(address, pid, process, os.pidfd_open(pid))
        except OSError:
            # What cannot be watched is of no use; nobody has heard of it yet.
            process.kill()
            self._supervisor.forget_child(address)
            raise

    def _fork_ahead(self, actor_class: type[Actor]) -> None:
        self._timer = None
        try:
            self._ready = self._fork(actor_class)
        except OSError:
            # The start that needs it tries again, and says so.
            self._expected = None
