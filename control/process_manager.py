"""`ProcessManager`: a supervision tree inside your program, in a handful of methods."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from suptree.actors import AgentProcess, AgentStatus, AgentType
from suptree.actors.errors import AlreadyPresent, NotRunning, SuptreeError
from suptree.actors.picture import Picture, Row, is_alive
from suptree.supervisors.agent_config import agent_child_from_config

from .client import Client
from .spawn import LauncherProcess, spawn_launcher

log = structlog.get_logger()

_NAME = "embedded"
_CATCH_UP = 10.0


class ProcessManager:
    """Starts, stops and watches agents; the tree lives in a process of its own, and ends when this program does.

    Nothing has to be started before the first `start_agent`; `async with` shuts everything down at its end. What is asked with `get_…` is
    answered at once, from the events received so far; whatever a method of this manager did is among them when it returns.
    `state_dir` keeps logs and journal; without it they are temporary.
    """

    def __init__(self, state_dir: str | os.PathLike[str] | None = None) -> None:
        self._state_dir = None if state_dir is None else Path(state_dir).absolute()
        self._launcher: LauncherProcess | None = None
        self._client: Client | None = None
        self._picture = Picture()
        self._configs: dict[str, dict[str, Any]] = {}
        self._seq = 0
        self._caught_up = asyncio.Condition()
        self._starting = asyncio.Lock()
        self._follower: asyncio.Task[None] | None = None
        self._monitor: asyncio.Task[None] | None = None
        self._scratch: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.shutdown_all()

    # Commands

    async def start_agent(self, agent_id: str, agent_type: str | AgentType, config: Mapping[str, Any] | None = None) -> bool:
        """Start an agent: True when it runs; False, with a warning logged, when that id runs already or cannot start.

        `config` knows `name`, `role`, `model`, `command`, `args`, `auto_restart` (False: a crash is recorded and nothing restarted),
        `max_restarts` (3: that many restarts of this agent, then it stays `crashed`) and every key of an agent in a tree file.
        """
        try:
            spec = agent_child_from_config(agent_id, agent_type, config or {}, Path.cwd())
            client = await self._connected()
            try:
                seq = await client.start_new(spec)
            except AlreadyPresent:
                await client.delete(agent_id)
                seq = await client.start_new(spec)
        except SuptreeError as refusal:
            log.warning("agent_not_started", agent_id=agent_id, why=str(refusal))
            return False
        self._configs[agent_id] = dict(config or {})
        await self._catch_up(seq)
        return True

    async def stop_agent(self, agent_id: str, graceful: bool = True) -> bool:
        """Stop an agent; False when it does not run. `graceful=False` begins at SIGKILL."""
        if not self._has(agent_id) or self._client is None:
            return False
        if not is_alive(self._picture.rows[agent_id]) and not self._comes_back(agent_id):
            return False
        with contextlib.suppress(NotRunning):
            await self._catch_up(await self._client.stop(agent_id, graceful=graceful))
            return True
        return False

    async def restart_agent(self, agent_id: str) -> bool:
        """Stop an agent if it runs, and start it with its configuration and restart count; False when there is none, or it cannot start."""
        if not self._has(agent_id) or self._client is None:
            return False
        try:
            await self._catch_up(await self._client.restart(agent_id))
        except SuptreeError as refusal:
            log.warning("agent_not_restarted", agent_id=agent_id, why=str(refusal))
            return False
        return True

    async def shutdown_all(self) -> None:
        """Stop every agent in reverse order, end the tree, and return when nothing of it is left. The manager can be used again."""
        await self.stop_monitor()
        launcher, client = self._launcher, self._client
        self._launcher = self._client = None
        if launcher is not None and client is not None:
            with contextlib.suppress(NotRunning):
                await client.shut_down()
            await launcher.wait()
            if self._follower is not None:
                await self._follower
            await client.close()
        for row in self._picture.rows.values():
            if is_alive(row):
                row.update(status="stopped", pid=None, actor_pid=None)
        self._remove_scratch()

    # What is known

    def get_agent_status(self, agent_id: str) -> AgentStatus:
        """The status of an agent; `AgentStatus.UNKNOWN` for a stranger."""
        return AgentStatus(self._picture.rows[agent_id]["status"]) if self._has(agent_id) else AgentStatus.UNKNOWN

    def get_all_agents(self) -> dict[str, AgentProcess]:
        """Every agent by id; a copy that does not change under you."""
        return {row["id"]: self._agent(row) for row in self._picture.of_kind("agent")}

    def get_running_agents(self) -> list[str]:
        """The ids of the agents that run."""
        return [row["id"] for row in self._picture.of_kind("agent") if row["status"] == AgentStatus.RUNNING]

    def get_summary(self) -> dict[str, Any]:
        """`total_agents`, `running_agents` (both counts), `running_agent_ids`, `status_counts` (status to count), `monitor_running`."""
        running = self.get_running_agents()
        rows = self._picture.of_kind("agent")
        return {
            "total_agents": len(rows),
            "running_agents": len(running),
            "running_agent_ids": running,
            "status_counts": dict(Counter(row["status"] for row in rows)),
            "monitor_running": self._monitor is not None,
        }

    async def monitor_agent_health(self) -> dict[str, bool]:
        """Agent id to whether it is healthy: it runs, and its pings come."""
        if self._client is None:
            return {row["id"]: False for row in self._picture.of_kind("agent")}
        try:
            status = await self._client.status()
        except NotRunning:
            return {row["id"]: False for row in self._picture.of_kind("agent")}
        return {
            agent["id"]: agent["status"] == AgentStatus.RUNNING and not str(agent["detail"] or "").startswith("suspect")
            for agent in status["agents"]
        }

    async def start_monitor(self, interval: float = 30) -> None:
        """Log the agents that are not healthy every `interval` seconds. Crashes and hangs are mended with or without it."""
        if interval <= 0:
            raise ValueError(f"interval must be above 0 seconds, not {interval}")
        await self.stop_monitor()
        self._monitor = asyncio.create_task(self._watch_health(interval))

    async def stop_monitor(self) -> None:
        """Stop that logging."""
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await monitor

    def abandon(self) -> None:
        """End the tree without waiting for it; for when there is no event loop any more."""
        if self._launcher is not None and self._launcher.process.poll() is None:
            self._launcher.process.send_signal(signal.SIGTERM)
        self._launcher = self._client = None

    # The tree behind it

    async def _connected(self) -> Client:
        async with self._starting:
            if self._launcher is not None and self._launcher.process.poll() is not None:
                log.warning("tree_ended_by_itself", status=self._launcher.process.returncode)
                self._launcher = self._client = None
            if self._client is None:
                await self._launch()
            assert self._client is not None  # noqa: S101
            return self._client

    async def _launch(self) -> None:
        base = self._state_dir
        if base is None:
            base = Path(tempfile.mkdtemp(prefix="suptree-"))
            self._scratch = str(base)
        path = [str(Path(entry or ".").absolute()) for entry in sys.path]
        self._launcher = await spawn_launcher(_NAME, owner_pid=os.getpid(), base=base, sys_path=path, ephemeral=self._state_dir is None)
        self._client = Client(self._launcher.paths.control_socket)
        first = await self._client.picture()
        self._picture = Picture([*self._stopped_rows(), *first["rows"]])
        self._seq = first["seq"]
        self._follower = asyncio.create_task(self._follow(self._client, self._seq))

    def _stopped_rows(self) -> list[Row]:
        return [{**row, "status": "stopped"} if is_alive(row) else row for row in self._picture.of_kind("agent")]

    async def _follow(self, client: Client, after: int) -> None:
        with contextlib.suppress(NotRunning):
            async for event in client.events(after):
                self._picture.apply(event)
                async with self._caught_up:
                    self._seq = event["seq"]
                    self._caught_up.notify_all()

    async def _catch_up(self, seq: int) -> None:
        """Wait until what was answered is also in the picture."""
        async with self._caught_up, asyncio.timeout(_CATCH_UP):
            await self._caught_up.wait_for(lambda: self._seq >= seq)

    async def _watch_health(self, interval: float) -> None:
        while True:
            unhealthy = [agent_id for agent_id, healthy in (await self.monitor_agent_health()).items() if not healthy]
            log.info("agents_checked", unhealthy=unhealthy)
            await asyncio.sleep(interval)

    def _has(self, agent_id: str) -> bool:
        row = self._picture.rows.get(agent_id)
        return row is not None and row["kind"] == "agent"

    def _comes_back(self, agent_id: str) -> bool:
        return str(self._picture.rows[agent_id]["detail"] or "").startswith(("restart:", "park:"))

    def _agent(self, row: Row) -> AgentProcess:
        return AgentProcess(
            agent_id=row["id"],
            agent_type=AgentType(row["type"]),
            status=AgentStatus(row["status"]),
            started_at=_time(row["started_at"]),
            stopped_at=None if is_alive(row) else _time(row["stopped_at"]),
            restart_count=row["restarts"],
            config=dict(self._configs.get(row["id"]) or row["config"]),
            pid=row["pid"] or row["actor_pid"],
            incarnation=row["incarnation"],
            last_exit=row["last_exit"],
            detail=row["detail"] or row["status_text"],
        )

    def _remove_scratch(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None


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
