"""Scenarios on real supervisor and agent actors: the same traces, from processes that really start, stop and die."""

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from suptree.actors.exits import ExitClass
from suptree.actors.spec.agent_spec import AgentSpec
from suptree.actors.state import AgentType
from suptree.control.client.client import Client
from suptree.control.launcher.spawn import spawn_launcher
from suptree.supervisors.actor.supervisor_actor import KILLED
from suptree.supervisors.core.core import ChildView
from suptree.supervisors.decisions.child import ChildState
from suptree.supervisors.decisions.core_commands import Answer
from suptree.supervisors.spec.child_spec import INFINITY, ChildSpec, RestartType
from suptree.supervisors.spec.ids import ROOT
from suptree.supervisors.spec.tree_spec import SupervisorSpec

from .otp_live_agent import address
from .otp_scenario import call_answer, child_spec, last_entry, supervisor_flags

_FACTORY = "suptree.scripts.otp_live_agent:LiveAgent"
_EVENT_LIMIT = 30.0
_QUIET_ROUNDS = 2
_SETTLED = (ChildState.RUNNING, ChildState.DOWN)

Event = dict[str, Any]


@asynccontextmanager
async def live_tree() -> AsyncIterator[Client]:
    """A client of an empty tree that ends, with everything in it, when this does."""
    launcher = await spawn_launcher("otp-live", owner_pid=os.getpid(), base=Path(tempfile.mkdtemp(prefix="suptree-otp-")), ephemeral=True)
    async with Client(launcher.paths.control_socket) as client:
        try:
            yield client
        finally:
            await client.shut_down()
            await launcher.wait()


class LiveScenario:
    """One scenario, under a supervisor of its own; `number` keeps its ids apart from those of the others."""

    def __init__(self, client: Client, number: int, scenario: dict[str, Any], folder: str) -> None:
        self._client = client
        self._scenario = scenario
        self._folder = folder
        self._prefix = f"s{number}-"
        self._supervisor = f"sup{number}"
        self._starts = {child["id"]: child.get("start", ["ok"]) for child in scenario["children"]}
        self._trace: list[list[Any]] = []
        self._news: asyncio.Queue[Event] = asyncio.Queue()
        self._asked_to_exit: set[tuple[str, int]] = set()
        self._exited = asyncio.Event()
        self._stopped_by_us = False
        self._seq = 0

    async def run(self) -> list[list[Any]]:
        """The trace of the whole scenario."""
        self._seq = max((event["seq"] for event in await self._client.known_events()), default=0)
        following = asyncio.create_task(self._follow(self._seq))
        try:
            async with asyncio.timeout(_EVENT_LIMIT * (len(self._scenario["events"]) + 2)):
                await self._run()
        finally:
            following.cancel()
        return self._trace

    async def _run(self) -> None:
        children = tuple(self._spec(child) for child in self._scenario["children"])
        start = SupervisorSpec(id=self._supervisor, flags=supervisor_flags(self._scenario), children=children)
        spec = ChildSpec(id=self._supervisor, restart=RestartType.TEMPORARY, shutdown=INFINITY, start=start)
        await self._answer(await self._client.request_start_child(spec, ROOT))
        await self._settle()
        for name, *arguments in self._scenario["events"]:
            if self._exited.is_set():
                return
            await _EVENTS[name](self, *arguments)
            await self._settle()
        if not self._exited.is_set():
            self._stopped_by_us = True
            await self._answer(await self._client.request("stop", self._supervisor))
            while not self._exited.is_set():
                self._take(await self._news.get())

    # ---- the events of a scenario --------------------------------------------------------------

    async def _exit(self, child_id: str, reason: str) -> None:
        child = next((child for child in await self._children() if child.id == child_id), None)
        if child is None or child.state is not ChildState.RUNNING:
            self._trace.append(["no_such_child", child_id])
            return
        self._trace.append(["exited", child_id, reason])
        self._asked_to_exit.add((self._prefix + child_id, child.incarnation))
        if reason == "killed":
            os.kill((await self._client.agent(self._prefix + child_id))["actor_pid"], signal.SIGKILL)
        else:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
                teller.sendto(reason.encode(), address(self._folder, self._prefix + child_id))
        while (self._prefix + child_id, child.incarnation) in self._asked_to_exit:
            self._take(await self._news.get())

    async def _terminate_child(self, child_id: str) -> None:
        await self._request("terminate_child", "terminate_child", child_id)

    async def _restart_child(self, child_id: str) -> None:
        await self._request("restart_child", "restart_child", child_id)

    async def _delete_child(self, child_id: str) -> None:
        await self._request("delete_child", "delete_child", child_id)

    async def _start_child(self, child: dict[str, Any]) -> None:
        self._starts.setdefault(child["id"], child.get("start", ["ok"]))
        answer = await self._answer(await self._client.request_start_child(self._spec(child), self._supervisor))
        self._trace.append(["start_child", child["id"], answer["answer"]])

    async def _which_children(self) -> None:
        self._trace.append(["which_children", *call_answer(Answer.OK, await self._children())])

    async def _count_children(self) -> None:
        answer = await self._answer(await self._client.request("count_children", self._supervisor))
        self._trace.append(["count_children", *answer["value"]])

    async def _advance(self, milliseconds: float) -> None:
        await asyncio.sleep(milliseconds / 1000)

    async def _request(self, name: str, operation: str, child_id: str) -> None:
        known = {row["id"] for row in (await self._client.picture())["rows"] if not row["deleted"]}
        if self._prefix + child_id not in known:
            self._trace.append([name, child_id, "not_found"])
            return
        answer = await self._answer(await self._client.request(operation, self._prefix + child_id))
        self._trace.append([name, child_id, answer["answer"]])

    # ---- what happens meanwhile ----------------------------------------------------------------

    async def _follow(self, after: int) -> None:
        async for event in self._client.events(after):
            self._news.put_nowait(event)

    async def _answer(self, answer: dict[str, Any]) -> dict[str, Any]:
        """An answer, once every event before it is in the trace."""
        while self._seq < answer["seq"]:
            self._take(await self._news.get())
        return answer

    def _take(self, event: Event) -> None:
        self._seq = event["seq"]
        if event["event"] == "supervisor_exited" and event["id"] == self._supervisor:
            self._exited.set()
            self._trace.append(last_entry(self._trace, ExitClass(event["exit"]["class"]), stopped_by_us=self._stopped_by_us))
        if event["kind"] != "agent" or not event["id"].startswith(self._prefix):
            return
        child_id = event["id"].removeprefix(self._prefix)
        match event["event"]:
            case "agent_started":
                self._trace.append(["started", child_id])
            case "agent_ignored":
                self._trace.append(["ignored", child_id])
            case "agent_exited" if (event["id"], event["incarnation"]) in self._asked_to_exit:
                self._asked_to_exit.remove((event["id"], event["incarnation"]))
            case "agent_exited" if event["exit"]["reason"] == KILLED:
                pass  # a brutal kill leaves no trace
            case "agent_exited":
                self._trace.append(["stopped" if event["exit"]["class"] == "shutdown" else "start_failed", child_id])

    async def _settle(self) -> None:
        """Return when the supervisor has exited, or nothing is under way and nothing has happened for two rounds of asking."""
        quiet = 0
        while quiet < _QUIET_ROUNDS and not self._exited.is_set():
            before = self._seq
            children = await self._children()
            settled = all(child.state in _SETTLED for child in children)
            quiet = quiet + 1 if settled and before == self._seq else 0

    async def _children(self) -> list[ChildView]:
        answer = await self._answer(await self._client.request("which_children", self._supervisor))
        if answer["answer"] != "ok":
            # It is on its way out.
            while not self._exited.is_set():
                self._take(await self._news.get())
            return []
        return [
            ChildView(**{**child, "id": child["id"].removeprefix(self._prefix), "state": ChildState(child["state"])})
            for child in answer["value"]
        ]

    def _spec(self, child: dict[str, Any]) -> ChildSpec:
        agent_id = self._prefix + child["id"]
        config = {"folder": self._folder, "start": self._starts.get(child["id"], child.get("start", ["ok"]))}
        agent = AgentSpec(agent_id=agent_id, agent_type=AgentType.NATIVE_LLM, factory=_FACTORY, config=config)
        return replace(child_spec(child), id=agent_id, start=agent)


_EVENTS: dict[str, Callable[..., Awaitable[None]]] = {
    "exit": LiveScenario._exit,
    "terminate_child": LiveScenario._terminate_child,
    "restart_child": LiveScenario._restart_child,
    "delete_child": LiveScenario._delete_child,
    "start_child": LiveScenario._start_child,
    "which_children": LiveScenario._which_children,
    "count_children": LiveScenario._count_children,
    "advance": LiveScenario._advance,
}


async def live_traces(scenarios: Iterable[dict[str, Any]]) -> AsyncIterator[list[list[Any]]]:
    """The trace of each scenario."""
    with tempfile.TemporaryDirectory(prefix="suptree-live-") as folder:
        async with live_tree() as client:
            for number, scenario in enumerate(scenarios):
                yield await LiveScenario(client, number, scenario, folder).run()
