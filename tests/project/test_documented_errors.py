"""What a method of `ProcessManager` raises, without a tree and for an agent that there is not, its docstring names."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from suptree.actors.errors import SuptreeError
from suptree.control import ProcessManager
from tests.embedded.managed import SLEEP, manager, run

BAD = "../nobody"

# Each method with an agent that there is not, and other arguments that cannot be.
CALLS: dict[str, Callable[[ProcessManager], Any]] = {
    "start_agent": lambda pm: pm.start_agent(BAD, "robot"),
    "stop_agent": lambda pm: pm.stop_agent(BAD),
    "restart_agent": lambda pm: pm.restart_agent(BAD),
    "delete_agent": lambda pm: pm.delete_agent(BAD),
    "start_supervisor": lambda pm: pm.start_supervisor(BAD),
    "stop_supervisor": lambda pm: pm.stop_supervisor(BAD),
    "delete_supervisor": lambda pm: pm.delete_supervisor(BAD),
    "apply": lambda pm: pm.apply("/no/such/file"),
    "tell": lambda pm: pm.tell(BAD, "hello"),
    "ask": lambda pm: pm.ask(BAD, "hello"),
    "ask_stream": lambda pm: pm.ask_stream(BAD, "hello"),
    "logs": lambda pm: pm.logs(BAD),
    "output": lambda pm: pm.output(BAD),
    "on": lambda pm: pm.on("died", print),
    "stdio": lambda pm: pm.stdio(BAD, timeout=0.05).__aenter__(),
    "wait_for": lambda pm: pm.wait_for(BAD, "running", timeout=0.05),
    "explain": lambda pm: pm.explain(BAD),
    "forecast": lambda pm: pm.forecast(BAD),
    "processes": lambda pm: pm.processes,
    "registry": lambda pm: pm.registry,
    "heartbeat_service": lambda pm: pm.heartbeat_service,
    "get_agent_status": lambda pm: pm.get_agent_status(BAD),
    "get_all_agents": lambda pm: pm.get_all_agents(),
    "get_running_agents": lambda pm: pm.get_running_agents(),
    "get_summary": lambda pm: pm.get_summary(),
    "monitor_agent_health": lambda pm: pm.monitor_agent_health(),
    "start_monitor": lambda pm: pm.start_monitor(0),
    "stop_monitor": lambda pm: pm.stop_monitor(),
}

# They end the tree, or wait for what does not happen.
LEFT_OUT = {"abandon", "events", "shutdown_all"}


async def raised_by(call: Callable[[ProcessManager], Any], pm: ProcessManager) -> str | None:
    """The name of the error that a call ends with."""
    try:
        result = call(pm)
        if isinstance(result, AsyncGenerator):
            result = anext(result)
        if isinstance(result, Awaitable):
            await asyncio.wait_for(result, 30)
    except (SuptreeError, ValueError) as error:
        return type(error).__name__
    return None


def test_each_method_is_called() -> None:
    assert {name for name in vars(ProcessManager) if not name.startswith("_")} - LEFT_OUT == set(CALLS)


@pytest.mark.parametrize("running", [False, True])
def test_each_error_that_a_caller_gets_is_in_the_docstring(*, running: bool) -> None:
    async def program() -> None:
        async with manager() as pm:
            if running:
                assert await pm.start_agent("a", "process_wrapper", SLEEP)
            raised = {name: await raised_by(call, pm) for name, call in CALLS.items()}
            for never in ("start_agent", "stop_agent", "tell", "get_agent_status", "get_summary", "monitor_agent_health"):
                assert raised[never] is None
            assert ("NoSuchAgent" if running else "NotRunning") == raised["ask"] == raised["explain"] == raised["logs"]
            docstrings = {name: vars(ProcessManager)[name].__doc__ or "" for name in CALLS}
            docstrings["ask_stream"] += docstrings["ask"]
            assert {} == {name: error for name, error in raised.items() if error is not None and error not in docstrings[name]}

    run(program)
