"""`ProcessManager`: a supervision tree inside your program."""

import asyncio
import contextlib
import logging
import math
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, Unpack

from suptree.actors import AgentProcess, AgentStatus, AgentType
from suptree.actors.errors import SuptreeError
from suptree.actors.events.entry import Entry

from ..own_tree.agent_process import agent_process
from ..own_tree.apply_tree import AnyTree, children_of
from ..own_tree.callbacks import Callback, Callbacks
from ..own_tree.embedded_tree import EmbeddedTree
from ..own_tree.event_names import Selection
from ..own_tree.mirror import Mirror
from ..own_tree.own_children import Children, warn
from ..time_limits import ASK_LIMIT, ATTACH_LIMIT, TELL_LIMIT
from .agent_output import AgentOutput, OutputLine
from .agent_registry import AgentRegistry
from .death_explanation import Explanation
from .following import entries, output_lines, read_ahead
from .heartbeat_service import HeartbeatService
from .settings import AgentKeys, NativeAgent, ProcessAgent, SupervisorKeys
from .stdio import LIMIT, StdioReader, StdioWriter, stdio

log = logging.getLogger("suptree.control")


class ProcessManager:
    """Starts, stops and watches agents; the tree lives in a process of its own, and ends when this program does.

    Nothing has to be started before the first `start_agent`; `async with` shuts everything down at its end.

    agents: `start_agent`, `stop_agent`, `restart_agent`, `delete_agent`, `shutdown_all`
    supervisors and whole trees: `start_supervisor`, `stop_supervisor`, `delete_supervisor`, `apply`
    conversation and output: `tell`, `ask`, `ask_stream`, `stdio`, `output`, `logs`
    what happens, and why: `events`, `on`, `wait_for`, `explain`, `forecast`
    what is known: `processes`, `registry`, `get_agent_status`, `get_all_agents`, `get_running_agents`, `get_summary`
    health: `heartbeat_service`, `monitor_agent_health`, `start_monitor`, `stop_monitor`
    without an event loop: `abandon`

    What is known is answered immediately, from the events received so far; whatever a method of this manager did is among them when it
    returns. Times are seconds. Errors are in `suptree.actors.errors`, below SuptreeError; the methods that answer False log why instead.
    In a child of `os.fork()` a manager begins anew, without any agents: the tree is its parent's.
    """

    def __init__(self, state_dir: str | os.PathLike[str] | None = None) -> None:
        """`state_dir` keeps logs, journal and post-mortems; `SUPTREE_HOME=STATE_DIR suptree status` finds the tree there."""
        self._state_dir = None if state_dir is None else Path(state_dir).absolute()
        self._of_parent: tuple[object, ...] = ()
        self._begin()

    def _begin(self) -> None:
        self._callbacks = Callbacks()
        self._tree = EmbeddedTree(self._state_dir, self._callbacks.hear)
        self._children = Children(self._tree)
        self._monitor: asyncio.Task[None] | None = None
        self._registry = AgentRegistry(self.get_all_agents, self._callbacks)
        self._heartbeat_service = HeartbeatService(self._status)

    async def __aenter__(self) -> Self:
        """This manager; nothing is started yet."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Shut everything down: see `shutdown_all`."""
        await self.shutdown_all()

    # Agents

    async def start_agent(
        self,
        agent_id: str,
        agent_type: AgentType | str | ProcessAgent | NativeAgent = AgentType.NATIVE_LLM,
        config: Mapping[str, Any] | None = None,
        **keys: Unpack[AgentKeys],
    ) -> bool:
        """Start an agent: True when it runs; False, with a warning logged, when that id runs already, is taken, or cannot start.

        `config`, `keys`, or both give every key of an agent in a tree file; `ProcessAgent(…)` and `NativeAgent(…)` give type and keys in
        one. A `native_llm` without `factory` is an LLMAgent. Without `auto_restart` or `restart` a crash is recorded, and nothing
        restarted; with it `max_restarts` (3) bounds the restarts of this agent, then it stays `crashed`; a life of `healthy_after` (60 s)
        forgets those before.
        One agent starts after the other, as in OTP: a slow start delays the agents that are started after it.
        """
        given: dict[str, Any] = {}
        if isinstance(agent_type, ProcessAgent | NativeAgent):
            given.update(agent_type.config)
            agent_type = agent_type.agent_type
        if isinstance(config, Mapping) or config is None:
            config = {**given, **(config or {}), **keys}
        return await self._here()._children.start_agent(agent_id, agent_type, config)

    async def stop_agent(self, agent_id: str, graceful: bool = True) -> bool:
        """Stop an agent, and return when nothing of it is left; False when it does not run. `graceful=False` begins at SIGKILL."""
        return await self._here()._children.stop(agent_id, graceful=graceful)

    async def restart_agent(self, agent_id: str) -> bool:
        """Stop an agent if it runs, and start it with its configuration and restart count.

        False when there is none, it cannot start, or it was stopped or deleted meanwhile. An agent whose supervisor was killed has ended,
        as OTP's dynamic children do; this starts the agent when its supervisor is back.
        """
        return await self._here()._children.restart(agent_id)

    async def delete_agent(self, agent_id: str) -> bool:
        """Forget an agent that is down, and its checkpoint; False, with a warning, when it runs, is being restarted, or there is none."""
        return await self._here()._children.delete(agent_id)

    async def shutdown_all(self) -> None:
        """Stop every agent in reverse order, end the tree, and return when nothing of it is left, and callbacks have had every event.

        A callback that is not done after 5 s is logged, and goes on; until then none can start anything. The manager can be used again.
        """
        await self.stop_monitor()
        await self._tree.end(self._callbacks.finish)

    # Supervisors

    async def start_supervisor(self, supervisor_id: str, **keys: Unpack[SupervisorKeys]) -> bool:
        """Start a supervisor without children: `start_agent(…, supervisor=supervisor_id)` gives it some. False, with a warning, if not.

        The keys are those of `[supervisors.ID]` in a tree file. The defaults are OTP's: `strategy="one_for_one"`, `max_restarts=1` within
        `within=5.0` seconds, `restart="permanent"`, `shutdown="infinity"` (or seconds), `significant=False`, `auto_shutdown="never"`,
        `on_limit="escalate"`; and `supervisor="root"`.
        """
        return await self._here()._children.start_supervisor(supervisor_id, keys)

    async def stop_supervisor(self, supervisor_id: str) -> bool:
        """Stop a supervisor and all below it, in reverse order; False when it does not run."""
        return await self._here()._children.stop(supervisor_id, graceful=True)

    async def delete_supervisor(self, supervisor_id: str) -> bool:
        """Forget a supervisor that is stopped, and all below it; False, with a warning, when it runs or there is none."""
        return await self._here()._children.delete(supervisor_id)

    async def apply(self, tree: AnyTree) -> list[str]:
        """Start what a tree file, or a mapping of the same shape, describes; return the ids of its agents and supervisors, in start order.

        It goes below the root supervisor of this manager, whose own rules stay as they are. Raises ConfigError with every fault, also for
        an id that there is already, and nothing is started then; StartFailed when a child or the tree does not start: those before it run;
        TypeError for what is neither a path nor a mapping.
        """
        manager = self._here()
        children = await asyncio.to_thread(children_of, tree, manager._tree.ids())
        for child in children:
            await manager._children.add(child.spec)
        return [child_id for child in children for child_id in child.ids]

    # Conversation

    async def tell(self, agent_id: str, line: str | None = None, timeout: float = TELL_LIMIT, *, eof: bool = False) -> bool:  # noqa: ASYNC109
        """Write a line to the stdin of an agent that has one (`stdin`: `"pipe"` or `"pty"`), or hand it to the `handle` of a native agent.

        With `eof` a program reads the end of its input after that; the line may then be left out.
        False, with a warning logged, when it does not run, has no stdin, does not read and 1 MiB waits for it already, or has not taken it
        within `timeout` seconds.
        """
        try:
            mirror = await self._joined()
            async with mirror.up_to_date():
                await mirror.client.tell(agent_id, line, eof=eof, timeout=timeout)
        except SuptreeError as refusal:
            warn("could not tell agent", agent_id, refusal)
            return False
        return True

    async def ask(self, agent_id: str, prompt: str, timeout: float = ASK_LIMIT) -> Any:  # noqa: ASYNC109  (the agent's, not ours)
        """What the `ask` of a native agent answers within `timeout` seconds; then it is cancelled, and this raises RequestTimeout.

        Raises InputRefused when it was not asked (it does not run, has no `ask`), and AskFailed when it failed or ended: the text says why;
        NotRunning when no tree runs, NoSuchAgent for an id that the tree does not know.
        """
        mirror = await self._joined()
        async with mirror.up_to_date():
            return await mirror.client.ask(agent_id, prompt, timeout=timeout)

    async def ask_stream(
        self,
        agent_id: str,
        prompt: str,
        timeout: float = ASK_LIMIT,  # noqa: ASYNC109  (the agent's, not ours)
    ) -> AsyncGenerator[Any, None]:
        """What the `ask` of a native agent answers, in parts, as they come, within `timeout` seconds in all.

        A program that stops reading takes the question back. Raises what `ask` raises, also in the middle.
        """
        mirror = await self._joined()
        async with mirror.up_to_date(), contextlib.aclosing(mirror.client.ask_stream(agent_id, prompt, timeout=timeout)) as parts:
            async for part in parts:
                yield part

    @contextlib.asynccontextmanager
    async def stdio(
        self,
        agent_id: str,
        *,
        limit: int = LIMIT,
        timeout: float = ATTACH_LIMIT,  # noqa: ASYNC109
    ) -> AsyncGenerator[tuple[StdioReader, StdioWriter], None]:
        """Talk to a program with `stdin="pipe"`: `async with pm.stdio(agent_id) as (reader, writer)`, one conversation at a time.

        They are a reader and a writer of asyncio. The reader gets what the program writes to its stdout from now on, and in the first
        conversation of an incarnation also what it wrote before (up to 64 KiB; else, the next line is the first): byte for byte, without
        redaction; the log has the same lines, redacted. `limit` is the longest line in bytes. As at a pipe, the program waits when
        nobody reads what it writes. `writer.write_eof()` ends its input; after the block the program goes on.
        When the incarnation ends, what the program wrote is still read, and then each method raises AgentEnded with how it ended: enter
        again to talk to the next incarnation. Waits at most `timeout` seconds until the agent runs, and then raises RequestTimeout;
        raises InputRefused when the agent has no such stdin or is in a conversation, NotRunning when no tree runs.
        """
        mirror = await self._joined()
        async with stdio(mirror, agent_id, limit=limit, timeout=timeout) as (reader, writer):
            yield reader, writer

    # Output

    async def logs(self, agent_id: str, lines: int = 100, *, previous: bool = False) -> list[OutputLine]:
        """The last lines of an agent's output; with `previous` those of the incarnation before the present, or last, one.

        Secrets are redacted, as in the log file. Raises NotRunning when no tree runs, NoSuchAgent for an id that the tree does not know,
        SuptreeError for another number than 0 to 1,000,000.
        """
        mirror = await self._joined()
        return AgentOutput.parsed(await mirror.client.log_lines(agent_id, AgentOutput.checked(lines), previous=previous))

    def output(self, agent_id: str, stream: str | None = None, *, lines: int = 0) -> AsyncGenerator[OutputLine, None]:
        """Each line that an agent prints from now on, to `"out"`, `"err"` or (None) both, across its restarts, until the tree ends.

        "Now" is when the loop over the lines begins. The last `lines` of what both printed before come first: so a program that asks after
        a start misses nothing.
        Secrets are redacted, as in the log file, which this reads: so the agent never waits for a reader, each reader goes at its own
        pace, and one that falls more than some 100 MiB behind loses the oldest lines, and gets a line that says how many bytes are missing.
        A line of an agent is whole up to 16 MiB. Raises NotRunning when no tree runs, NoSuchAgent for what can be no id, ValueError for
        another `stream`, SuptreeError for another number of `lines` than 0 to 1,000,000.
        """
        return read_ahead(output_lines(self._here()._tree, agent_id, stream, AgentOutput.checked(lines)))

    # What happened, and why

    def events(self, agent_id: str | None = None, after: int | None = None) -> AsyncGenerator[Entry, None]:
        """Each event of the tree, or of one agent, from this call on, as it comes, until the tree ends; docs/events.md lists the types.

        With `after`, the `seq` of an event seen before, those since then come first. Launches the tree if none runs, or raises StartFailed.
        """
        tree = self._here()._tree
        since = after if after is not None else 0 if tree.mirror is None else tree.mirror.seq
        return read_ahead(entries(tree, agent_id, since))

    def on(self, name: str, callback: Callback[Entry]) -> Callable[[], None]:
        """Call `callback`, a plain or a coroutine function, with each event of that name; return a function that ends this.

        Names of agents' events: `started`, `ready`, `stopping`, `exited`, `restarted`, `held`, `parked`, `quarantined`, `suspect`,
        `unkillable`; `gave_up` for a supervisor that reached its restart limit; `every` for all events of the tree. Raises ValueError for
        another name, TypeError for a callback that is no function. It can be called before anything is started.
        The calls are made in the event loop that this manager is used in, one after the other; what a callback raises is logged. A
        callback may call this manager.
        """
        return self._here()._callbacks.add(Selection(name), callback)

    async def wait_for(self, agent_id: str, status: AgentStatus | str, timeout: float | None = None) -> AgentProcess:  # noqa: ASYNC109
        """Wait until an agent has that status, and return it as it is then; an agent that there is not yet may still come.

        Raises RequestTimeout after `timeout` seconds, NotRunning when no tree runs or the tree ends, ValueError for a status that is none.
        """
        wanted = AgentStatus(status)
        mirror = await self._joined()
        await mirror.status_reached(agent_id, wanted, timeout)
        return self.get_all_agents()[agent_id]

    async def explain(self, agent_id: str) -> Explanation:
        """Why an agent died, and how it stands now: the object of the control API; `str()` of it is what `suptree explain` shows.

        Raises NotRunning when no tree runs, NoSuchAgent for an id that the tree does not know.
        """
        mirror = await self._joined()
        return Explanation(await mirror.client.explanation(agent_id))

    async def forecast(self, agent_id: str, exit_class: str = "crash", reason: str | None = None) -> list[dict[str, Any]]:
        """What each supervisor would do if this child ended so: a step a supervisor, innermost first, as far up as the end goes.

        A step has `supervisor`, `child`, `decision`, `why`, `restarts_left`, `actions` (`verb`, `id`, `delay` in seconds) and `exit`.
        Raises NotRunning when no tree runs, NoSuchAgent for an id that the tree does not know, SuptreeError for another `exit_class`.
        """
        mirror = await self._joined()
        return await mirror.client.forecast(agent_id, exit_class, reason)

    # What is known

    @property
    def processes(self) -> Mapping[str, AgentProcess]:
        """Every agent by id, read only; a copy that does not change under you."""
        return MappingProxyType(self.get_all_agents())

    @property
    def registry(self) -> AgentRegistry:
        """The AgentRegistry of these agents: it finds them, and reports their changes."""
        return self._here()._registry

    @property
    def heartbeat_service(self) -> HeartbeatService:
        """The HeartbeatService of these agents: the last ping of each, and what it said of itself."""
        return self._here()._heartbeat_service

    def get_agent_status(self, agent_id: str) -> AgentStatus:
        """The status of an agent; `AgentStatus.UNKNOWN` for an id that the tree does not have."""
        row = self._here()._tree.agents().get(agent_id)
        return AgentStatus.UNKNOWN if row is None else AgentStatus(row["status"])

    def get_all_agents(self) -> dict[str, AgentProcess]:
        """Every agent by id; a copy that does not change under you."""
        manager = self._here()
        return {agent_id: agent_process(row, manager._children.config(agent_id)) for agent_id, row in manager._tree.agents().items()}

    def get_running_agents(self) -> list[str]:
        """The ids of the agents that run."""
        return [agent_id for agent_id, row in self._here()._tree.agents().items() if row["status"] == AgentStatus.RUNNING]

    def get_summary(self) -> dict[str, Any]:
        """`total_agents`, `running_agents` (both counts), `running_agent_ids`, `status_counts` (status to count), `monitor_running`."""
        running = self.get_running_agents()
        rows = self._tree.agents().values()
        return {
            "total_agents": len(rows),
            "running_agents": len(running),
            "running_agent_ids": running,
            "status_counts": dict(Counter(row["status"] for row in rows)),
            "monitor_running": self._monitor is not None and not self._monitor.done(),
        }

    # Health

    async def monitor_agent_health(self) -> dict[str, bool]:
        """Agent id to whether it is healthy: it runs, and its pings come. When no tree runs, none is."""
        health = dict.fromkeys(self._here()._tree.agents(), False)
        with contextlib.suppress(SuptreeError):
            for agent in (await self._status())["agents"]:
                health[agent["id"]] = agent["status"] == AgentStatus.RUNNING and not agent["suspect"]
        return health

    async def start_monitor(self, interval: float = 30) -> None:
        """Log the agents that are not healthy every `interval` seconds. Agents are restarted after crashes and hangs with or without it.

        Raises ValueError for an interval that is no number of seconds above 0.
        """
        if not isinstance(interval, int | float) or isinstance(interval, bool) or not 0 < interval < math.inf:
            raise ValueError(f"interval must be a number of seconds above 0, not {interval!r}")
        await self.stop_monitor()
        self._monitor = asyncio.create_task(self._watch_health(interval))

    async def stop_monitor(self) -> None:
        """Stop the logging of `start_monitor`, if there is any."""
        self._here()
        monitor, self._monitor = self._monitor, None
        # One of an event loop that has ended has ended with it.
        if monitor is not None and monitor.get_loop() is asyncio.get_running_loop():
            monitor.cancel()
            await asyncio.wait({monitor})

    def abandon(self) -> None:
        """End the tree without waiting for it; for when there is no event loop any more."""
        self._here()._tree.abandon()

    # The tree behind it

    def _here(self) -> Self:
        """This manager, in this process: a child of `os.fork()` begins with no tree, for the one that it remembers is its parent's."""
        if self._tree.pid != os.getpid():
            # Kept, so that nothing is closed: an event loop, closed here, would stop watching for the parent too.
            self._of_parent = (self._of_parent, self._tree, self._monitor, self._callbacks)
            self._begin()
        return self

    async def _joined(self) -> Mirror:
        """The mirror of the tree that runs. Raises NotRunning when none does."""
        tree = self._here()._tree
        async with tree.alone():
            return await tree.join()

    async def _status(self) -> dict[str, Any]:
        return await (await self._joined()).client.status()

    async def _watch_health(self, interval: float) -> None:
        while True:
            unhealthy = [agent_id for agent_id, healthy in (await self.monitor_agent_health()).items() if not healthy]
            log.info("agents that are not healthy: %s", ", ".join(unhealthy) or "none")
            await asyncio.sleep(interval)
