"""Answer supervision scenarios with traces, to be compared with what Erlang/OTP does: one JSON object a line in, one JSON list a line out.

    python -m suptree.scripts.otp_trace [--live] < scenarios.jsonl

docs/semantics.md describes both formats.
"""

import asyncio
import heapq
import json
import sys
from collections import deque
from collections.abc import Iterable
from typing import Any

import click

from suptree.actors.exits import Exit, ExitClass
from suptree.supervisors.core.core import ChildView, Phase, SupervisorCore
from suptree.supervisors.decisions.child import ALIVE, RESTARTING
from suptree.supervisors.decisions.core_commands import (
    Answer,
    CancelTimer,
    Command,
    ExitSupervisor,
    KillChild,
    ParkQuotaGroup,
    Reply,
    Report,
    SetTimer,
    StartChild,
    StopChild,
)
from suptree.supervisors.decisions.core_events import (
    ChildExited,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    CountChildrenRequested,
    DeleteChildRequested,
    Event,
    RestartChildRequested,
    ShutdownRequested,
    StartChildRequested,
    SupervisorStarted,
    TerminateChildRequested,
    TimerFired,
    WhichChildrenRequested,
)
from suptree.supervisors.decisions.timers import Timer
from suptree.supervisors.spec.child_spec import (
    BRUTAL_KILL,
    INFINITY,
    AutoShutdown,
    BrutalKill,
    ChildSpec,
    RestartType,
    Strategy,
    SupervisorFlags,
)

SHUTDOWNS: dict[str, float | BrutalKill] = {"infinity": INFINITY, "brutal_kill": BRUTAL_KILL}
EXITS = {
    "normal": Exit(ExitClass.NORMAL, "normal"),
    "shutdown": Exit(ExitClass.SHUTDOWN, "shutdown"),
    "crash": Exit(ExitClass.FAILED, "crash"),
    "killed": Exit(ExitClass.CRASH, "SIGKILL"),
}


def child_spec(child: dict[str, Any]) -> ChildSpec:
    """The spec of a scenario's child."""
    shutdown = child.get("shutdown", 5000)
    return ChildSpec(
        id=child["id"],
        restart=RestartType(child.get("restart", "permanent")),
        significant=child.get("significant", False),
        shutdown=SHUTDOWNS[shutdown] if isinstance(shutdown, str) else shutdown / 1000,
    )


def supervisor_flags(scenario: dict[str, Any]) -> SupervisorFlags:
    """The flags of a scenario's supervisor."""
    return SupervisorFlags(
        strategy=Strategy(scenario["strategy"]),
        max_restarts=scenario["intensity"],
        within=scenario["period"],
        auto_shutdown=AutoShutdown(scenario.get("auto_shutdown", "never")),
    )


class Simulation:
    """One scenario on a core, a simulated clock, and children that do as the scenario says."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        self.trace: list[list[Any]] = []
        self._events = scenario["events"]
        self._now = 0.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._outcomes: dict[str, list[str]] = {c["id"]: c.get("start", ["ok"]) for c in scenario["children"]}
        self._attempts: dict[str, int] = {}
        self._told_to_stop = False
        self._core = SupervisorCore(supervisor_flags(scenario), [child_spec(c) for c in scenario["children"]])

    def run(self) -> list[list[Any]]:
        """The trace of the whole scenario."""
        self._feed(SupervisorStarted())
        for name, *arguments in self._events:
            if self._core.phase is Phase.EXITED:
                break
            getattr(self, f"_{name}")(*arguments)
        if self._core.phase is not Phase.EXITED:
            self._told_to_stop = True
            self._feed(ShutdownRequested())
        return self.trace

    # ---- the events of a scenario --------------------------------------------------------------

    def _exit(self, child_id: str, reason: str) -> None:
        for child in self._core.children():
            if child.id == child_id and child.state in ALIVE:
                self.trace.append(["exited", child_id, reason])
                self._feed(ChildExited(child_id, child.incarnation, EXITS[reason]))
                return
        self.trace.append(["no_such_child", child_id])

    def _terminate_child(self, child_id: str) -> None:
        self._feed(TerminateChildRequested(("terminate_child", child_id), child_id))

    def _restart_child(self, child_id: str) -> None:
        self._feed(RestartChildRequested(("restart_child", child_id), child_id))

    def _delete_child(self, child_id: str) -> None:
        self._feed(DeleteChildRequested(("delete_child", child_id), child_id))

    def _start_child(self, child: dict[str, Any]) -> None:
        self._outcomes.setdefault(child["id"], child.get("start", ["ok"]))
        self._feed(StartChildRequested(("start_child", child["id"]), child_spec(child)))

    def _which_children(self) -> None:
        self._feed(WhichChildrenRequested(("which_children",)))

    def _count_children(self) -> None:
        self._feed(CountChildrenRequested(("count_children",)))

    def _advance(self, milliseconds: float) -> None:
        until = self._now + milliseconds / 1000
        while self._timers and self._timers[0][0] <= until:
            self._now, generation, timer = heapq.heappop(self._timers)
            self._feed(TimerFired(timer, generation))
        self._now = until

    # ---- the commands of the core --------------------------------------------------------------

    def _feed(self, event: Event) -> None:
        events = deque([event])
        while events:
            for command in self._core.handle(events.popleft(), self._now):
                answer = self._perform(command)
                if answer is not None:
                    events.append(answer)

    def _perform(self, command: Command) -> Event | None:
        match command:
            case StartChild():
                return self._start(command)
            case StopChild(child_id, incarnation):
                self.trace.append(["stopped", child_id])
                return ChildExited(child_id, incarnation, EXITS["shutdown"])
            case KillChild(child_id, incarnation):
                return ChildExited(child_id, incarnation, EXITS["killed"])
            case SetTimer(timer, generation, delay):
                heapq.heappush(self._timers, (self._now + delay, generation, timer))
            case Reply(request, answer, value):
                self.trace.append([*request, *told(answer, value)])  # type: ignore[misc]
            case ExitSupervisor(exit=exit_):
                self.trace.append(self._last_entry(exit_))
            case CancelTimer() | Report() | ParkQuotaGroup():
                pass
        return None

    def _start(self, command: StartChild) -> Event:
        child_id = command.spec.id
        outcomes = self._outcomes[child_id]
        attempt = self._attempts.get(child_id, 0)
        self._attempts[child_id] = attempt + 1
        match outcomes[min(attempt, len(outcomes) - 1)]:
            case "ok":
                self.trace.append(["started", child_id])
                return ChildStarted(child_id, command.incarnation)
            case "ignore":
                self.trace.append(["ignored", child_id])
                return ChildIgnored(child_id, command.incarnation)
            case _:
                self.trace.append(["start_failed", child_id])
                return ChildStartFailed(child_id, command.incarnation, Exit(ExitClass.FAILED, "refused"))

    def _last_entry(self, exit_: Exit) -> list[Any]:
        if exit_.exit_class is ExitClass.FAILED:
            # start_link itself has failed, and names the child.
            return next(entry for entry in reversed(self.trace) if entry[0] == "start_failed")
        return ["supervisor_stopped"] if self._told_to_stop else ["supervisor_exited", "shutdown"]


def told(answer: Answer, value: Any) -> list[Any]:
    """What stands in the trace after the name of the request."""
    match value:
        case [ChildView(), *_] | []:
            return [[[child.id, otp_state(child)] for child in value]]
        case (int() as specs, int() as active):
            return [specs, active]
        case _:
            return [answer.value]


def otp_state(child: ChildView) -> str:
    """OTP's word for what a child is doing."""
    if child.state in ALIVE:
        return "running"
    return "restarting" if child.state in RESTARTING else "undefined"


def main(lines: Iterable[str]) -> None:
    """Print the trace of each scenario."""
    for line in lines:
        if line.strip():
            print(json.dumps(Simulation(json.loads(line)).run()), flush=True)


@click.command()
@click.option("--live", is_flag=True, help="On real supervisor and agent actors, instead of the core on a simulated clock.")
def command(*, live: bool) -> None:
    """Read scenarios on standard input, print traces."""
    if not live:
        main(sys.stdin)
        return
    from .otp_live import live_traces  # noqa: PLC0415  (it imports this module)

    async def run() -> None:
        async for trace in live_traces(json.loads(line) for line in sys.stdin if line.strip()):
            print(json.dumps(trace), flush=True)

    asyncio.run(run())


if __name__ == "__main__":
    command()
