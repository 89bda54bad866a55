"""Scenarios on a core alone: a simulated clock, and children that do as the scenario says."""

import heapq
from collections import deque
from collections.abc import Callable
from typing import Any

from suptree.actors.exits import Exit, ExitClass
from suptree.supervisors.core.core import Phase, SupervisorCore
from suptree.supervisors.decisions.child import ALIVE
from suptree.supervisors.decisions.core_commands import (
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

from .otp_scenario import call_answer, child_spec, last_entry, supervisor_flags

EXITS = {
    "normal": Exit(ExitClass.NORMAL, "normal"),
    "shutdown": Exit(ExitClass.SHUTDOWN, "shutdown"),
    "crash": Exit(ExitClass.FAILED, "crash"),
    "killed": Exit(ExitClass.CRASH, "SIGKILL"),
}


class Simulation:
    """One scenario on a core, a simulated clock, and children that do as the scenario says."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        self.trace: list[list[Any]] = []
        self._events = scenario["events"]
        self._now = 0.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._outcomes: dict[str, list[str]] = {c["id"]: c.get("start", ["ok"]) for c in scenario["children"]}
        self._attempts: dict[str, int] = {}
        self._stopped_by_us = False
        self._core = SupervisorCore(supervisor_flags(scenario), [child_spec(c) for c in scenario["children"]])

    def run(self) -> list[list[Any]]:
        """The trace of the whole scenario."""
        self._feed(SupervisorStarted())
        for name, *arguments in self._events:
            if self._core.phase is Phase.EXITED:
                break
            _EVENTS[name](self, *arguments)
        if self._core.phase is not Phase.EXITED:
            self._stopped_by_us = True
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
                self.trace.append([*request, *call_answer(answer, value)])  # type: ignore[misc]
            case ExitSupervisor(exit=exit_):
                self.trace.append(last_entry(self.trace, exit_.exit_class, stopped_by_us=self._stopped_by_us))
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


_EVENTS: dict[str, Callable[..., None]] = {
    "exit": Simulation._exit,
    "terminate_child": Simulation._terminate_child,
    "restart_child": Simulation._restart_child,
    "delete_child": Simulation._delete_child,
    "start_child": Simulation._start_child,
    "which_children": Simulation._which_children,
    "count_children": Simulation._count_children,
    "advance": Simulation._advance,
}
