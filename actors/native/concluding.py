"""Concluding: the last work for a native agent that ends, which keeps its exit and its state."""

import asyncio
from collections.abc import Callable
from typing import Any

from ..agent.awake_time import wait_awake
from ..exits import CauseId, Exit, ExitClass
from .agent_code import call
from .agent_errors import print_error
from .checkpoint_schedule import CheckpointSchedule

_RECORDED = (ExitClass.BUDGET, ExitClass.HUNG)
"""What others find about an agent that runs, and that it may find itself."""


async def shut_down(agent: Any, checkpoints: CheckpointSchedule, limit: float, note: Callable[[str], None]) -> None:
    """Run its `shutdown()`, for at most `limit` seconds, and take a last checkpoint; nothing that its code may raise leaves this."""
    shutting_down = asyncio.get_running_loop().create_task(_shut_down(agent, checkpoints))
    # Not asyncio.timeout: a user's code may keep the cancellation to itself.
    if not await wait_awake([shutting_down], limit):
        note(f"its shutdown took longer than {limit} s")
        shutting_down.cancel()


async def _shut_down(agent: Any, checkpoints: CheckpointSchedule) -> None:
    shutdown = getattr(agent, "shutdown", None)
    try:
        if shutdown is not None:
            await call(shutdown)
        await checkpoints.take()
    except BaseException as error:  # noqa: BLE001  (the agent ends in any case)
        if not isinstance(error, asyncio.CancelledError):
            print_error(error)


async def conclude(how: Exit, checkpoints: CheckpointSchedule, condemn: Callable[[ExitClass, CauseId | None, str], None]) -> Exit:
    """The exit of an agent that was not asked to stop, when what belongs to it is done."""
    if how.exit_class is not ExitClass.FAILED:
        # It has not crashed: what it holds is sound.
        await checkpoints.take()
        if how.exit_class in _RECORDED:
            # As whatever else is found about an agent while it runs: the supervisor records it first.
            condemn(how.exit_class, how.cause, how.reason)
    return how
