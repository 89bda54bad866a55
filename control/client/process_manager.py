"""`ProcessManager`: a supervision tree inside your program, in a handful of methods."""

import asyncio
import contextlib
import copy
import logging
import math
import os
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from suptree.actors import AgentProcess, AgentStatus, AgentType
from suptree.actors.errors import AlreadyPresent, NoSuchAgent, NotRunning, SuptreeError
from suptree.actors.events.picture import Row, is_alive
from suptree.actors.events.row_detail import described
from suptree.actors.exits import ExitClass
from suptree.actors.output.printable import printable
from suptree.supervisors.config.agent_config import agent_child_from_config
from suptree.supervisors.config.wire import encode_child
from suptree.supervisors.spec.tree_spec import ROOT

from ..launcher.spawn import LauncherProcess, spawn_launcher
from ..time_limits import ASK_LIMIT, TELL_LIMIT
from .client import Client
from .kept_config import copied
from .mirror import Mirror

log = logging.getLogger(__name__)

_NAME = "embedded"


class ProcessManager:
    """Starts, stops and watches agents; the tree lives in a process of its own, and ends when this program does.

    Nothing has to be started before the first `start_agent`; `async with` shuts everything down at its end. What is asked with `get_…` is
    answered immediately, from the events received so far; whatever a method of this manager did is among them when it returns.
    `state_dir` keeps logs and journal; without it they are temporary.
    In a child of `os.fork()` a manager begins anew, without any agents: the tree is its parent's.
    """

    def __init__(self, state_dir: str | os.PathLike[str] | None = None) -> None:
        self._state_dir = None if state_dir is None else Path(state_dir).absolute()
        self._launcher: LauncherProcess | None = None
        self._mirror: Mirror | None = None
        self._past: dict[str, Row] = {}
        self._configs: dict[str, dict[str, Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._monitor: asyncio.Task[None] | None = None
        self._scratch: str | None = None
        self._pid = os.getpid()
        self._of_parent: tuple[object, ...] = ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.shutdown_all()

    # Commands

    async def start_agent(self, agent_id: str, agent_type: str | AgentType, config: Mapping[str, Any] | None = None) -> bool:
        """Start an agent: True when it runs; False, with a warning logged, when that id runs already or cannot start.

        `config` knows `name`, `role`, `model`, `command`, `args`, `auto_restart` (False: a crash is recorded and nothing restarted),
        `max_restarts` (3: that many restarts of this agent, then it stays `crashed`; a life of `healthy_after`, 60 s, forgets those before)
        and every key of an agent in a tree file.
        One agent starts after the other, as in OTP: a slow start delays the agents that are started after it.
        """
        try:
            kept = copied(agent_id, config or {})
            async with self._alone():
                await asyncio.sleep(0)  # Of many starts together each begins in a turn of the loop of its own.
                spec = agent_child_from_config(agent_id, agent_type, kept, Path.cwd())
                supervisor = kept.get("supervisor") or ROOT
                mirror = await self._connected(launch=True)
            try:
                seq = await mirror.client.start_new(spec, supervisor)
            except AlreadyPresent:
                # The agent is replaced, not given up: what it has kept is for the next one.
                await mirror.client.delete(agent_id, keep_checkpoint=True)
                seq = await mirror.client.start_new(spec, supervisor)
            await mirror.catch_up(seq)
        except (SuptreeError, OSError) as refusal:
            _warn("could not start", agent_id, refusal)
            return False
        self._configs[agent_id] = kept
        self._past.pop(agent_id, None)
        return True

    async def stop_agent(self, agent_id: str, graceful: bool = True) -> bool:
        """Stop an agent; False when it does not run. `graceful=False` begins at SIGKILL."""
        try:
            async with self._alone():
                mirror = await self._connected()
            row = self._rows().get(agent_id)
            if row is None or not (is_alive(row) or _comes_back(row)):
                return False
            await mirror.catch_up(await mirror.client.stop(agent_id, graceful=graceful))
        except NotRunning:
            return False
        except SuptreeError as refusal:
            _warn("could not stop", agent_id, refusal)
            return False
        return True

    async def restart_agent(self, agent_id: str) -> bool:
        """Stop an agent if it runs, and start it with its configuration and restart count; False when there is none, or it cannot start.

        An agent whose supervisor was killed has ended with it and, as OTP's dynamic children, is not started again by itself: this does it,
        once that is back.
        """
        try:
            async with self._alone():
                mirror = await self._connected()
            row = self._rows().get(agent_id)
            if row is None:
                return False
            try:
                await mirror.catch_up(await mirror.client.restart(agent_id))
            except NoSuchAgent:
                # The supervisor that knew it is gone; what ran in an earlier tree is only remembered.
                if agent_id not in {row["id"] for row in mirror.picture.of_kind("agent")} & self._configs.keys():
                    raise
                return await self.start_agent(agent_id, row["type"], self._configs[agent_id])
        except SuptreeError as refusal:
            _warn("could not restart", agent_id, refusal)
            return False
        return True

    async def tell(self, agent_id: str, line: str | None = None, timeout: float = TELL_LIMIT, *, eof: bool = False) -> bool:  # noqa: ASYNC109
        """Write a line to the stdin of an agent that has one (`stdin`: `"pipe"` or `"pty"`), or hand it to the `handle` of a native agent.

        With `eof` a program reads the end of its input after that; the line may then be left out.
        False, with a warning logged, when it does not run, has no stdin, does not read and 1 MiB waits for it already, or has not taken it
        within `timeout` seconds.
        """
        try:
            async with self._alone():
                mirror = await self._connected()
            await mirror.client.tell(agent_id, line, eof=eof, timeout=timeout)
        except SuptreeError as refusal:
            _warn("could not tell", agent_id, refusal)
            return False
        return True

    async def ask(self, agent_id: str, prompt: str, timeout: float = ASK_LIMIT) -> Any:  # noqa: ASYNC109  (the agent's, not ours)
        """What the `ask` of a native agent answers within `timeout` seconds; then it is cancelled, and this raises RequestTimeout.

        Raises InputRefused when it was not asked (it does not run, has no `ask`), and AskFailed when it failed or ended: the text says why.
        """
        async with self._alone():
            mirror = await self._connected()
        return await mirror.client.ask(agent_id, prompt, timeout=timeout)

    async def ask_stream(
        self,
        agent_id: str,
        prompt: str,
        timeout: float = ASK_LIMIT,  # noqa: ASYNC109  (the agent's, not ours)
    ) -> AsyncGenerator[Any, None]:
        """The same reply in parts, as they come; a program that stops reading takes the question back."""
        async with self._alone():
            mirror = await self._connected()
        async with contextlib.aclosing(mirror.client.ask_stream(agent_id, prompt, timeout=timeout)) as parts:
            async for part in parts:
                yield part

    async def shutdown_all(self) -> None:
        """Stop every agent in reverse order, end the tree, and return when nothing of it is left. The manager can be used again."""
        await self.stop_monitor()
        async with self._alone():
            if self._launcher is not None:
                self._ask_to_end()
                await self._ended(self._launcher)

    # What is known

    def get_agent_status(self, agent_id: str) -> AgentStatus:
        """The status of an agent; `AgentStatus.UNKNOWN` for a stranger."""
        row = self._rows().get(agent_id)
        return AgentStatus.UNKNOWN if row is None else AgentStatus(row["status"])

    def get_all_agents(self) -> dict[str, AgentProcess]:
        """Every agent by id; a copy that does not change under you."""
        return {agent_id: self._agent(row) for agent_id, row in self._rows().items()}

    def get_running_agents(self) -> list[str]:
        """The ids of the agents that run."""
        return [agent_id for agent_id, row in self._rows().items() if row["status"] == AgentStatus.RUNNING]

    def get_summary(self) -> dict[str, Any]:
        """`total_agents`, `running_agents` (both counts), `running_agent_ids`, `status_counts` (status to count), `monitor_running`."""
        running = self.get_running_agents()
        rows = self._rows().values()
        return {
            "total_agents": len(rows),
            "running_agents": len(running),
            "running_agent_ids": running,
            "status_counts": dict(Counter(row["status"] for row in rows)),
            "monitor_running": self._monitor is not None and not self._monitor.done(),
        }

    async def monitor_agent_health(self) -> dict[str, bool]:
        """Agent id to whether it is healthy: it runs, and its pings come."""
        health = dict.fromkeys(self._rows(), False)
        with contextlib.suppress(SuptreeError):
            async with self._alone():
                mirror = await self._connected()
            for agent in (await mirror.client.status())["agents"]:
                health[agent["id"]] = agent["status"] == AgentStatus.RUNNING and not agent["suspect"]
        return health

    async def start_monitor(self, interval: float = 30) -> None:
        """Log the agents that are not healthy every `interval` seconds. Agents are restarted after crashes and hangs with or without it."""
        if not isinstance(interval, int | float) or isinstance(interval, bool) or not 0 < interval < math.inf:
            raise ValueError(f"interval must be a number of seconds above 0, not {interval!r}")
        await self.stop_monitor()
        self._monitor = asyncio.create_task(self._watch_health(interval))

    async def stop_monitor(self) -> None:
        """Stop that logging."""
        self._leave_parents_tree()
        monitor, self._monitor = self._monitor, None
        # One of an event loop that has ended has ended with it.
        if monitor is not None and monitor.get_loop() is asyncio.get_running_loop():
            monitor.cancel()
            await asyncio.wait({monitor})

    def abandon(self) -> None:
        """End the tree without waiting for it; for when there is no event loop any more."""
        self._leave_parents_tree()
        if self._launcher is not None:
            if self._launcher.process.poll() is not None:
                self._remove_scratch(self._launcher)  # A living launcher does it itself, at its end.
            self._ask_to_end()
            # Somebody has to take its exit status, or it stays in the process table.
            threading.Thread(target=self._launcher.process.wait, daemon=True).start()
            self._forget()

    # The tree behind it

    def _leave_parents_tree(self) -> None:
        """After `os.fork()` the child begins with no tree: the tree, its files and its connections belong to the parent."""
        if self._pid != os.getpid():
            # Kept, so that nothing is closed: an event loop, closed here, would stop watching for the parent too.
            self._of_parent = (self._of_parent, self._launcher, self._mirror, self._monitor, self._loop, self._lock)
            self._pid, self._past, self._configs = os.getpid(), {}, {}
            self._launcher = self._mirror = self._monitor = self._loop = self._scratch = None

    def _alone(self) -> asyncio.Lock:
        """The lock around whatever starts, ends or joins the tree; a lock serves one event loop only, so each gets a new one."""
        self._leave_parents_tree()
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._lock = loop, asyncio.Lock()
        return self._lock

    async def _connected(self, *, launch: bool = False) -> Mirror:
        """The mirror of the tree in the running event loop. Raises NotRunning when there is no tree and none is to be launched."""
        if self._launcher is not None and self._launcher.process.poll() is None:
            if self._mirror is None or not self._mirror.follows:
                with contextlib.suppress(NotRunning):
                    self._mirror = await Mirror.of(self._launcher)
            if self._mirror is not None and self._mirror.follows:
                return self._mirror
        if self._launcher is not None:
            status = await self._ended(self._launcher)
            log.warning("the tree ended by itself, with exit status %s", status)
        if not launch:
            raise NotRunning("no tree runs: start an agent first")
        return await self._launch()

    async def _launch(self) -> Mirror:
        await asyncio.to_thread(_warm_up)
        base = self._state_dir
        if base is None:
            self._scratch = tempfile.mkdtemp(prefix="suptree-")
            base = Path(self._scratch)
        path = [str(Path(entry or ".").absolute()) for entry in sys.path]
        try:
            self._launcher = await spawn_launcher(_NAME, owner_pid=os.getpid(), base=base, sys_path=path, ephemeral=self._state_dir is None)
        except BaseException:
            self._remove_scratch()
            raise
        self._mirror = await Mirror.of(self._launcher)
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
        self._past = self._rows()
        self._launcher = self._mirror = None

    def _rows(self) -> dict[str, Row]:
        self._leave_parents_tree()
        present = [] if self._mirror is None else self._mirror.picture.of_kind("agent")
        return self._past | {row["id"]: row for row in present}

    async def _watch_health(self, interval: float) -> None:
        while True:
            unhealthy = [agent_id for agent_id, healthy in (await self.monitor_agent_health()).items() if not healthy]
            log.info("agents that are not healthy: %s", ", ".join(unhealthy) or "none")
            await asyncio.sleep(interval)

    def _agent(self, row: Row) -> AgentProcess:
        return AgentProcess(
            agent_id=row["id"],
            agent_type=AgentType(row["type"]),
            status=AgentStatus(row["status"]),
            started_at=_time(row["started_at"]),
            stopped_at=None if is_alive(row) else _time(row["stopped_at"]),
            restart_count=row["restarts"],
            config=copy.deepcopy(self._configs.get(row["id"]) or row["config"]),
            pid=row["pid"] or row["actor_pid"],
            incarnation=row["incarnation"],
            last_exit=row["last_exit"],
            detail=described(row),
        )

    def _remove_scratch(self, launcher: LauncherProcess | None = None) -> None:
        """Remove what a launcher that was killed could not: nobody will ever look for a temporary tree again."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            if launcher is not None:
                shutil.rmtree(launcher.paths.runtime, ignore_errors=True)
            self._scratch = None


def _warm_up() -> None:
    """Pay in a thread for what a first request would hold the event loop up with: httpx and pydantic put off most of their work."""

    async def ask_nobody() -> None:
        async with Client(Path(os.devnull)) as client:
            with contextlib.suppress(NotRunning):
                await client.status()

    asyncio.run(ask_nobody())
    encode_child(agent_child_from_config("nobody", AgentType.PROCESS_WRAPPER, {"command": "true"}, "/"))


def _warn(what: str, agent_id: object, refusal: Exception) -> None:
    """Log a refusal, in a line that every terminal can show."""
    log.warning("%s agent %s: %s", what, printable(str(agent_id)), printable(str(refusal)))


def _comes_back(row: Row) -> bool:
    return row["until"] is not None or row["waiting_for"] is not None


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


_manager: ProcessManager | None = None


def get_process_manager() -> ProcessManager:
    """The process manager of this program; made at the first call."""
    global _manager  # noqa: PLW0603
    if _manager is None:
        _manager = ProcessManager()
    return _manager


def reset_process_manager() -> None:
    """Forget the process manager of this program; a tree that it still runs is stopped."""
    global _manager  # noqa: PLW0603
    if _manager is not None:
        _manager.abandon()
    _manager = None
