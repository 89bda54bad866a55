"""Which children a supervisor condemns, with real deadlines and a real process, and no actor around it."""

import asyncio
import os
import subprocess
from typing import Any

from suptree.actors.base.deadlines import Deadlines
from suptree.actors.base.life_stamps import STAMPS
from suptree.actors.base.messages import OWN_HEARTBEAT, Condemned, Notified, Silent, Started, Unwatch, Watch
from suptree.actors.exits import CauseId, Exit, ExitClass
from suptree.actors.heartbeat.stamp_watch import StampWatch
from suptree.actors.notify.notification import Notification
from suptree.supervisors.actor.children import Children, LivingChild
from suptree.supervisors.actor.reporter import Reporter
from suptree.supervisors.actor.signs_of_life import SignsOfLife
from tests.supervisor_actor.living_children import SentMessages, living_child


class Watched:
    """The part, with lists for all that it calls."""

    def __init__(self) -> None:
        self.children = Children()
        self.to_heartbeat, self.to_child = SentMessages(), SentMessages()
        self.reported: list[Any] = []
        self.up: list[str] = []
        self.stopped: list[tuple[str, Exit]] = []
        heartbeat = self.to_heartbeat.channel()
        self.signs = SignsOfLife(
            self.children,
            Reporter("root", "run:1", self.report),
            heartbeat=lambda: heartbeat,
            own=OWN_HEARTBEAT,
            services=StampWatch(asyncio.get_running_loop(), STAMPS, OWN_HEARTBEAT, lambda _verdict: None),
            is_up=lambda child: self.up.append(child.id),
            stop=lambda child, cause: self.stopped.append((child.id, cause)),
        )

    def report(self, message: Any) -> bool:
        self.reported.append(message.entry.event)
        return True

    def add(self, child: LivingChild) -> None:
        self.children[child.id] = child
        self.signs.await_start(child)


def heartbeat(**values: float) -> dict[str, Any]:
    return {"heartbeat": {"interval": 0.1, "suspect_after": 0.2, "dead_after": 0.4, "startup_timeout": 0.3, **values}}


async def ended(process: subprocess.Popen[bytes]) -> int:
    async with asyncio.timeout(10):
        return await asyncio.to_thread(process.wait, 10)


def test_a_child_that_is_late_is_killed_for_a_cause_that_is_recorded_first() -> None:
    async def run() -> None:
        watched = Watched()
        with living_child(Deadlines(asyncio.get_running_loop()), watched.to_child, **heartbeat()) as (child, process):
            watched.add(child)
            assert -9 == await ended(process)
            assert child.cause is not None
            assert ExitClass.STARTUP_TIMEOUT is child.cause.exit_class
            assert "startup_timeout: not ready within 0.3 s" == watched.reported[-1].why

    asyncio.run(run())


def test_more_time_puts_off_the_end_of_a_start() -> None:
    async def run() -> None:
        watched = Watched()
        loop = asyncio.get_running_loop()
        with living_child(Deadlines(loop), watched.to_child, **heartbeat()) as (child, process):
            watched.add(child)
            begun = loop.time()
            watched.signs.on_notified(Notified("a", 1, Notification(extend=1.0)), None)
            assert -9 == await ended(process)
            assert loop.time() - begun >= 1.0

    asyncio.run(run())


def test_a_silent_child_is_stopped_as_its_spec_says_or_killed_when_its_actor_is_silent() -> None:
    async def run() -> None:
        watched = Watched()
        with living_child(Deadlines(asyncio.get_running_loop()), watched.to_child, **heartbeat()) as (child, process):
            watched.add(child)
            watched.signs.on_started(Started("a", 1, pid=process.pid), "address")
            assert (["a"], None) == (watched.up, child.deadline)
            watched.signs.on_condemned(Condemned("a", 0, ExitClass.HUNG, "of an incarnation before"), "address")
            assert [] == watched.stopped
            watched.signs.on_silent(Silent("a", 1, 3.0, "actor"), "address")
            assert -9 == await ended(process)
            assert Exit(ExitClass.HUNG, "no ping from its actor for 3.0 s", cause=CauseId.NO_PING_FROM_ACTOR) == child.cause
            # The first cause counts.
            watched.signs.on_condemned(Condemned("a", 1, ExitClass.BUDGET, "too much"), "address")
            assert ([], ExitClass.HUNG) == (watched.stopped, child.cause.exit_class)
            watched.signs.child_is_gone(child)
            assert [Watch, Watch, Unwatch] == [type(message) for message in watched.to_heartbeat.messages]

    asyncio.run(run())


def test_an_agent_that_is_not_over_though_its_program_has_ended_is_not_spoken_for_by_the_pid_of_that() -> None:
    async def run() -> None:
        watched = Watched()
        with living_child(Deadlines(asyncio.get_running_loop()), watched.to_child) as (child, _process):
            watched.add(child)
            # As if its program's pid had been given to another process: that one is no child of its actor.
            child.program_pid = os.getpid()
            watched.signs.child_is_unkillable(child)
            assert watched.to_heartbeat.messages[-1].program_pid is None
            sent = len(watched.to_heartbeat.messages)
            watched.signs.child_is_unkillable(child)
            assert sent == len(watched.to_heartbeat.messages)

    asyncio.run(run())
