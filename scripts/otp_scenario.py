"""The formats of supervision scenarios and traces: a scenario's specs as ours, and our answers in OTP's words.

docs/semantics.md describes both formats.
"""

from typing import Any

from suptree.actors.exits import ExitClass
from suptree.supervisors.decisions.child import ALIVE, RESTARTING, ChildView
from suptree.supervisors.decisions.core_commands import Answer
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


def call_answer(answer: Answer, value: Any) -> list[Any]:
    """What stands in the trace after the name of the call."""
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


def last_entry(trace: list[list[Any]], exit_class: ExitClass, *, stopped_by_us: bool) -> list[Any]:
    """How a trace ends: the start of the supervisor failed, and names the child; or it was stopped; or it exited by itself."""
    if exit_class is ExitClass.FAILED:
        return next(entry for entry in reversed(trace) if entry[0] == "start_failed")
    return ["supervisor_stopped"] if stopped_by_us else ["supervisor_exited", exit_class.value]
