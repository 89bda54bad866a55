"""The tree behind a `ProcessManager`: a launcher that lives and dies with this program, and the mirror that follows it."""

import asyncio
import contextlib
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from suptree.actors import AgentType
from suptree.actors.errors import NotRunning
from suptree.actors.events.entry import Entry
from suptree.actors.events.picture import Row
from suptree.actors.exits import ExitClass
from suptree.actors.kernel.private_files import remove_folder
from suptree.actors.native.checkpoint_file import CheckpointFile
from suptree.supervisors.config.child_from_config import agent_child_from_config
from suptree.supervisors.config.wire import encode_child

from ..client.client import Client
from ..launcher.spawn import LauncherProcess, spawn_launcher
from ..trees.paths import TreePaths
from .callbacks import is_callback
from .mirror import Mirror

log = logging.getLogger(__name__)

NAME = "embedded"
"""What the tree of a program is called on the command line."""


class EmbeddedTree:
    """A tree that is launched when it is first needed, and again after its end; between two trees it remembers the agents of the last.

    `heard` is called with each event, in the event loop that the tree was joined in. All methods belong to the process that made the
    tree: a forked child makes a tree of its own.
    """

    def __init__(self, state_dir: Path | None, heard: Callable[[Entry], None]) -> None:
        self.pid = os.getpid()
        self._state_dir = state_dir
        self._heard = heard
        self._launcher: LauncherProcess | None = None
        self._mirror: Mirror | None = None
        self._past: dict[str, Row] = {}
        self._scratch: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._endings = 0

    @property
    def mirror(self) -> Mirror | None:
        """The mirror of the last tree that was joined, None before the first and after its end."""
        return self._mirror

    @property
    def state(self) -> Path:
        """The folder of the tree that runs: logs, journal, post-mortems."""
        if self._launcher is None:
            raise NotRunning("no tree runs: start an agent first")
        return self._launcher.paths.state

    def alone(self) -> asyncio.Lock:
        """The lock around whatever starts, ends or joins the tree; a lock serves one event loop only, so each gets a new one."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._lock = loop, asyncio.Lock()
        return self._lock

    async def join(self, *, launch: bool = False) -> Mirror:
        """The mirror of the tree in the running event loop, inside `alone`. Raises NotRunning when none runs and none is to be launched."""
        if self._launcher is not None and self._launcher.process.poll() is None:
            if self._mirror is None or not self._mirror.follows:
                with contextlib.suppress(NotRunning):
                    self._mirror = await Mirror.of(self._launcher, self._heard)
            if self._mirror is not None and self._mirror.follows:
                return self._mirror
        if self._launcher is not None:
            status = await self._ended(self._launcher)
            log.warning("the tree ended by itself, with exit status %s", status)
        if not launch:
            raise NotRunning("no tree runs: start an agent first")
        if self._endings and is_callback():
            raise NotRunning("everything is being shut down, and a callback cannot start anything until that is done")
        return await self._launch()

    async def end(self, finish: Callable[[], Awaitable[None]]) -> None:
        """End the tree, if it runs, await `finish`, and return when nothing of it is left.

        Meanwhile no callback begins a new tree: one that replaces each agent that exits would do so without end.
        """
        self._endings += 1
        try:
            async with self.alone():
                if self._launcher is not None:
                    self._ask_to_end()
                    await self._ended(self._launcher)
            await finish()
        finally:
            self._endings -= 1

    def abandon(self) -> None:
        """End the tree without waiting for it; for when there is no event loop any more."""
        if self._launcher is not None:
            if self._launcher.process.poll() is not None:
                self._remove_scratch(self._launcher)  # A living launcher does it itself, at its end.
            self._ask_to_end()
            # Somebody has to take its exit status, or it stays in the process table.
            threading.Thread(target=self._launcher.process.wait, daemon=True).start()
            self._forget()

    def agents(self) -> dict[str, Row]:
        """The row of each agent of this tree and of those before it."""
        present = [] if self._mirror is None else self._mirror.picture.of_kind("agent")
        return self._past | {row["id"]: row for row in present}

    def ids(self) -> set[str]:
        """The id of each agent, supervisor and service of the tree that runs."""
        return set() if self._mirror is None else {row["id"] for row in self._mirror.picture.rows.values() if not row["deleted"]}

    def forget_agent(self, agent_id: str) -> None:
        """Forget what an agent was in an earlier tree."""
        self._past.pop(agent_id, None)

    async def delete_past(self, agent_id: str) -> bool:
        """Forget an agent of an earlier tree, and its checkpoint; False when there was none, or this tree has one of that id."""
        if agent_id not in self._past or agent_id in self.ids():
            return False
        if self._state_dir is not None:
            kept = CheckpointFile(str(TreePaths.of(NAME, self._state_dir).state), agent_id)
            await asyncio.to_thread(kept.forget)
        self.forget_agent(agent_id)
        return True

    async def _launch(self) -> Mirror:
        await asyncio.to_thread(_warm_up)
        base = self._state_dir
        if base is None:
            self._scratch = tempfile.mkdtemp(prefix="suptree-")
            base = Path(self._scratch)
        path = [str(Path(entry or ".").absolute()) for entry in sys.path]
        try:
            self._launcher = await spawn_launcher(NAME, owner_pid=os.getpid(), base=base, sys_path=path, ephemeral=self._state_dir is None)
        except BaseException:
            self._remove_scratch()
            raise
        self._mirror = await Mirror.of(self._launcher, self._heard, from_the_start=True)
        return self._mirror

    def _ask_to_end(self) -> None:
        if self._mirror is not None:
            self._mirror.last_word = (ExitClass.SHUTDOWN, "the tree was shut down")
        if self._launcher is not None:
            self._launcher.ask_to_stop()

    async def _ended(self, launcher: LauncherProcess) -> int:
        """Wait for the end of the tree, and of its last events; return the launcher's exit status."""
        status = await launcher.wait()
        if self._mirror is not None:
            await self._mirror.ended()
        self._forget()
        self._remove_scratch(launcher)
        return status

    def _forget(self) -> None:
        """Let go of the tree, and remember its agents: in the next tree they count from 1 again."""
        if self._mirror is not None:
            self._mirror.end_all()
        self._past = self.agents()
        self._launcher = self._mirror = None

    def _remove_scratch(self, launcher: LauncherProcess | None = None) -> None:
        """Remove what a launcher that was killed could not: nobody will ever look for a temporary tree again."""
        if self._scratch is not None:
            remove_folder(Path(self._scratch))
            if launcher is not None:
                remove_folder(launcher.paths.runtime)
            self._scratch = None


def _warm_up() -> None:
    """Pay in a thread for what a first request would hold the event loop up with: httpx and pydantic put off most of their work."""

    async def ask_nobody() -> None:
        async with Client(Path(os.devnull)) as client:
            with contextlib.suppress(NotRunning):
                await client.status()

    asyncio.run(ask_nobody())
    encode_child(agent_child_from_config("nobody", AgentType.PROCESS_WRAPPER, {"command": "true"}, "/"))
