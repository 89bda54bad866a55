"""When the checkpoints of a native agent are taken and restored: only if it offers both `checkpoint()` and `restore(state)`."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from ..agent.awake_time import wait_awake
from .agent_code import call
from .checkpoint_file import CheckpointFile, CheckpointRefused


class CheckpointSchedule:
    """Takes a checkpoint every `interval` seconds, after each message, and at a stop; writes it when it has changed.

    `say` is called with what went wrong: the agent goes on, and the checkpoint before is kept. A checkpoint may take `limit` seconds.
    """

    def __init__(
        self,
        agent: Any,
        store: CheckpointFile,
        *,
        interval: float,
        limit: float,
        describe: Callable[[BaseException], str],
        say: Callable[[str], None],
    ) -> None:
        self._agent = agent
        self._store = store
        self._interval = interval
        self._limit = limit
        self._describe = describe
        self._say = say
        self._wanted = asyncio.Event()
        self._next: asyncio.Future[None] | None = None
        self._last_fault: str | None = None
        self._writing: asyncio.Future[None] | None = None
        self.offered = callable(getattr(agent, "checkpoint", None)) and callable(getattr(agent, "restore", None))
        """Whether the agent wants this at all."""

    async def restore(self) -> bool:
        """Give the agent its last checkpoint, if there is one; False when that failed: then another agent must be made, without."""
        if not self.offered:
            return True
        kept = self._store.take(self._say)
        if not kept:
            return True
        try:
            await call(self._agent.restore, kept[0])
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            self._store.refuse(f"restore() raised {self._describe(error)}", self._say)
            return False
        self._store.restored()
        return True

    async def run(self) -> None:
        """Take them, until cancelled."""
        while self.offered:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._wanted.wait()
            self._wanted.clear()
            await self.take()

    def soon(self) -> None:
        """Something has happened that is worth a checkpoint."""
        self._wanted.set()

    async def settled(self) -> None:
        """Return when a checkpoint that begins after this is written, or cannot be."""
        if self.offered:
            if self._next is None:
                self._next = asyncio.get_running_loop().create_future()
            self._wanted.set()
            await asyncio.wait([self._next])

    async def take(self) -> None:
        """Take one now."""
        if not self.offered:
            return
        waiting, self._next = self._next, None
        fault = None
        # Not asyncio.timeout: a user's code may keep the cancellation to itself.
        taking = asyncio.get_running_loop().create_task(self._ask_agent())
        try:
            fault = taking.result() if await wait_awake([taking], self._limit) else f"checkpoint() took longer than {self._limit:g} s"
        finally:
            taking.cancel()
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        if fault is not None and fault != self._last_fault:
            self._say(f"{fault}; the checkpoint before is kept")
        self._last_fault = fault

    async def _ask_agent(self) -> str | None:
        """What went wrong; nothing that `checkpoint()` may raise leaves the task."""
        try:
            state = await call(self._agent.checkpoint)
            text = self._store.text_of(state)
            if text is None:
                return None
            if self._writing is not None and not self._writing.done():
                return "the disk has not taken the last checkpoint yet"
            # The one thing that no loop can wait for; an agent that is killed over it loses no more than this checkpoint.
            self._writing = asyncio.get_running_loop().run_in_executor(None, self._store.write, text)
            await asyncio.shield(self._writing)
        except CheckpointRefused as refusal:
            return f"a checkpoint was refused: {refusal}"
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            return f"checkpoint() raised {self._describe(error)}"
        return None
