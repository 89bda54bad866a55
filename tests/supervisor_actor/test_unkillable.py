"""Processes that do not die, in a supervisor without the actor around it."""

import asyncio
from typing import Any

from suptree.actors.base import messages as m
from suptree.actors.base.deadlines import Deadlines
from suptree.actors.deaths.evidence import SWEPT_KEPT
from suptree.actors.events.event_types import Unkillable
from suptree.actors.kernel.cgroup import Groups
from suptree.supervisors.actor.child_processes import ChildProcesses
from suptree.supervisors.actor.children import Children, LivingChild
from suptree.supervisors.actor.reporter import Reporter
from tests.supervisor_actor.living_children import SentMessages, living_child


def test_of_very_many_some_are_reported() -> None:
    reported: list[Any] = []
    fenced: list[LivingChild] = []

    def report(message: Any) -> bool:
        reported.append(message.entry.event)
        return True

    async def heard(_child: LivingChild) -> None:
        pass

    async def run() -> None:
        children, unused, pids = Children(), SentMessages(), tuple(range(1000, 1000 + 2 * SWEPT_KEPT))
        nothing: Any = None
        processes = ChildProcesses(
            nothing,
            children,
            nothing,
            Reporter("root", "run:1", report),
            groups=Groups(),
            state_dir="unused",
            gone=nothing,
            hear_out=heard,
            buried=nothing,
            unkillable=fenced.append,
        )
        with living_child(Deadlines(asyncio.get_running_loop()), unused) as (child, _process):
            children["a"] = child
            processes.on_unkillable(m.Unkillable("a", 1, pids), nothing)
            assert [Unkillable(*child.life, pids=pids[:SWEPT_KEPT])] == reported
            assert ([child], True) == (fenced, child.unkillable)

    asyncio.run(run())
