"""Whether a native agent is well: its `health_check()` is called every interval, from the moment when it is ready."""

import asyncio
from collections.abc import Callable
from typing import Any

from ..agent.awake_time import wait_awake
from ..spec.agent_spec import HeartbeatSpec
from .agent_code import call
from .agent_errors import in_a_line, meaning_of, print_error


class HealthCheck:
    """Asks one agent, and calls `unwell` with what is wrong at the first answer that says so; `began` is called before the first."""

    def __init__(
        self, heartbeat: HeartbeatSpec, is_ready: asyncio.Event, *, began: Callable[[], None], unwell: Callable[[str], None]
    ) -> None:
        # So a fault right after a good answer is still found within `dead_after`.
        self._limit = max(heartbeat.dead_after - heartbeat.interval, heartbeat.dead_after / 5)
        self._is_ready = is_ready
        self._began = began
        self._unwell = unwell
        self._is_due = asyncio.Event()

    def ask_soon(self) -> None:
        """An interval has passed."""
        self._is_due.set()

    async def watch(self, agent: Any, fatal: Callable[[BaseException], None]) -> None:
        """Ask until it is unwell, or `health_check` raised an AgentEnds: that is for `fatal`."""
        await self._is_ready.wait()
        self._began()
        while hasattr(agent, "health_check"):
            self._is_due.clear()
            await self._is_due.wait()
            check = asyncio.get_running_loop().create_task(_ask(agent))
            # Not asyncio.timeout: a user's code may keep the cancellation to itself.
            wrong = check.result() if await wait_awake([check], self._limit) else f"health_check() took longer than {self._limit:g} s"
            check.cancel()
            if isinstance(wrong, BaseException):
                fatal(wrong)
                return
            if wrong is not None:
                self._unwell(wrong)
                return


async def _ask(agent: Any) -> str | BaseException | None:
    """What is wrong with the agent, or the error that ends it; no exception of `health_check()` leaves the task."""
    try:
        well = await call(agent.health_check)
    except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
        if meaning_of(error) is not None:
            return error
        print_error(error)
        return f"health_check() raised {in_a_line(error)}"
    return "health_check() returned False" if well is False else None
