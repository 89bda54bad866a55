"""`BlockingProcessManager`: a `ProcessManager` for programs without asyncio."""

import asyncio
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from suptree.actors import AgentProcess, AgentStatus, AgentType
from suptree.actors.errors import NotRunning
from suptree.actors.events.entry import Entry

from ..own_tree.apply_tree import AnyTree
from ..time_limits import ASK_LIMIT, ATTACH_LIMIT, TELL_LIMIT
from .agent_output import OutputLine
from .agent_registry import AgentRegistry
from .blocking_heartbeats import BlockingHeartbeatService
from .blocking_stdio import BlockingReader, BlockingWriter
from .death_explanation import Explanation
from .heartbeat_service import Heartbeat
from .process_manager import ProcessManager
from .settings import AgentKeys, NativeAgent, ProcessAgent, SupervisorKeys
from .stdio import LIMIT

_GRACE = 1.0
_END = 10.0

Result = TypeVar("Result")
Item = TypeVar("Item")


class BlockingProcessManager:
    """The methods of `ProcessManager` without `await`, for Flask, Celery, scripts and notebooks; any thread may call any method.

    It costs a thread: an event loop runs there, which receives every event while your program does something else. What each method does
    and raises is written at `ProcessManager`. Callbacks of `on` are called in that thread. Use it with `with`, or call `close`.
    """

    def __init__(self, state_dir: str | os.PathLike[str] | None = None) -> None:
        self._manager = ProcessManager(state_dir)
        self._begin()

    def _begin(self) -> None:
        # Reentrant: a signal handler of the program may call this manager too.
        self._guard = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop every agent, end the tree and the thread; the manager can be used again.

        A call of another thread that still waits then raises NotRunning.
        """
        self.shutdown_all()
        with self._alone():
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_END)

    # Agents

    def start_agent(
        self,
        agent_id: str,
        agent_type: AgentType | str | ProcessAgent | NativeAgent = AgentType.NATIVE_LLM,
        config: Mapping[str, Any] | None = None,
        **keys: Unpack[AgentKeys],
    ) -> bool:
        """See `ProcessManager.start_agent`."""
        return self._run(self._manager.start_agent(agent_id, agent_type, config, **keys))

    def stop_agent(self, agent_id: str, graceful: bool = True) -> bool:
        """See `ProcessManager.stop_agent`."""
        return self._run(self._manager.stop_agent(agent_id, graceful))

    def restart_agent(self, agent_id: str) -> bool:
        """See `ProcessManager.restart_agent`."""
        return self._run(self._manager.restart_agent(agent_id))

    def delete_agent(self, agent_id: str) -> bool:
        """See `ProcessManager.delete_agent`."""
        return self._run(self._manager.delete_agent(agent_id))

    def shutdown_all(self) -> None:
        """See `ProcessManager.shutdown_all`."""
        self._run(self._manager.shutdown_all())

    # Supervisors

    def start_supervisor(self, supervisor_id: str, **keys: Unpack[SupervisorKeys]) -> bool:
        """See `ProcessManager.start_supervisor`."""
        return self._run(self._manager.start_supervisor(supervisor_id, **keys))

    def stop_supervisor(self, supervisor_id: str) -> bool:
        """See `ProcessManager.stop_supervisor`."""
        return self._run(self._manager.stop_supervisor(supervisor_id))

    def delete_supervisor(self, supervisor_id: str) -> bool:
        """See `ProcessManager.delete_supervisor`."""
        return self._run(self._manager.delete_supervisor(supervisor_id))

    def apply(self, tree: AnyTree) -> list[str]:
        """See `ProcessManager.apply`."""
        return self._run(self._manager.apply(tree))

    # Conversation

    def tell(self, agent_id: str, line: str | None = None, timeout: float = TELL_LIMIT, *, eof: bool = False) -> bool:
        """See `ProcessManager.tell`."""
        return self._run(self._manager.tell(agent_id, line, timeout, eof=eof))

    def ask(self, agent_id: str, prompt: str, timeout: float = ASK_LIMIT) -> Any:
        """See `ProcessManager.ask`."""
        return self._run(self._manager.ask(agent_id, prompt, timeout))

    def ask_stream(self, agent_id: str, prompt: str, timeout: float = ASK_LIMIT) -> Iterator[Any]:
        """See `ProcessManager.ask_stream`."""
        return self._each(self._manager.ask_stream(agent_id, prompt, timeout))

    @contextlib.contextmanager
    def stdio(
        self, agent_id: str, *, limit: int = LIMIT, timeout: float = ATTACH_LIMIT
    ) -> Generator[tuple[BlockingReader, BlockingWriter], None, None]:
        """See `ProcessManager.stdio`; the methods of the reader and the writer wait."""
        conversation = self._manager.stdio(agent_id, limit=limit, timeout=timeout)
        reader, writer = self._run(conversation.__aenter__())
        try:
            yield BlockingReader(self._run, reader), BlockingWriter(self._run, writer)
        finally:
            self._run(conversation.__aexit__(None, None, None))

    # Output

    def logs(self, agent_id: str, lines: int = 100, *, previous: bool = False) -> list[OutputLine]:
        """See `ProcessManager.logs`."""
        return self._run(self._manager.logs(agent_id, lines, previous=previous))

    def output(self, agent_id: str, stream: str | None = None, *, lines: int = 0) -> Iterator[OutputLine]:
        """See `ProcessManager.output`."""
        return self._each(self._manager.output(agent_id, stream, lines=lines))

    # What happened, and why

    def events(self, agent_id: str | None = None, after: int | None = None) -> Iterator[Entry]:
        """See `ProcessManager.events`."""
        return self._each(self._manager.events(agent_id, after))

    def on(self, name: str, callback: Callable[[Entry], Awaitable[object] | object]) -> Callable[[], None]:
        """See `ProcessManager.on`; a callback that calls this manager has to do so from another thread."""
        remove = self._know(lambda: self._manager.on(name, callback))
        return lambda: self._know(remove)

    def wait_for(self, agent_id: str, status: AgentStatus | str, timeout: float | None = None) -> AgentProcess:
        """See `ProcessManager.wait_for`."""
        return self._run(self._manager.wait_for(agent_id, status, timeout))

    def explain(self, agent_id: str) -> Explanation:
        """See `ProcessManager.explain`."""
        return self._run(self._manager.explain(agent_id))

    def forecast(self, agent_id: str, exit_class: str = "crash", reason: str | None = None) -> list[dict[str, Any]]:
        """See `ProcessManager.forecast`."""
        return self._run(self._manager.forecast(agent_id, exit_class, reason))

    # What is known

    @property
    def processes(self) -> Mapping[str, AgentProcess]:
        """See `ProcessManager.processes`."""
        return self._know(lambda: self._manager.processes)

    @property
    def registry(self) -> AgentRegistry:
        """See `ProcessManager.registry`; what is subscribed is called in the thread of this manager."""
        return self._manager.registry.read_through(self.get_all_agents)

    @property
    def heartbeat_service(self) -> BlockingHeartbeatService:
        """See `ProcessManager.heartbeat_service`; its methods wait."""
        return BlockingHeartbeatService(lambda: self._manager.heartbeat_service, self._run, self._know)

    def heartbeats(self) -> dict[str, Heartbeat]:
        """See `HeartbeatService.get_all`."""
        return self.heartbeat_service.get_all()

    def get_agent_status(self, agent_id: str) -> AgentStatus:
        """See `ProcessManager.get_agent_status`."""
        return self._know(lambda: self._manager.get_agent_status(agent_id))

    def get_all_agents(self) -> dict[str, AgentProcess]:
        """See `ProcessManager.get_all_agents`."""
        return self._know(self._manager.get_all_agents)

    def get_running_agents(self) -> list[str]:
        """See `ProcessManager.get_running_agents`."""
        return self._know(self._manager.get_running_agents)

    def get_summary(self) -> dict[str, Any]:
        """See `ProcessManager.get_summary`."""
        return self._know(self._manager.get_summary)

    # Health

    def monitor_agent_health(self) -> dict[str, bool]:
        """See `ProcessManager.monitor_agent_health`."""
        return self._run(self._manager.monitor_agent_health())

    def start_monitor(self, interval: float = 30) -> None:
        """See `ProcessManager.start_monitor`."""
        self._run(self._manager.start_monitor(interval))

    def stop_monitor(self) -> None:
        """See `ProcessManager.stop_monitor`."""
        self._run(self._manager.stop_monitor())

    # The thread

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        # What a loop is given before it is stopped, it ends.
        with self._alone():
            loop = self._running()
            if _is_in(loop):
                work.close()
                raise RuntimeError("called from a callback: that would wait for itself; let another thread call, or use ProcessManager")
            future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise NotRunning("the manager was closed by another thread") from None
        except BaseException:
            # Ctrl-C ends the waiting; what is waited for ends too.
            future.cancel()
            raise

    def _know(self, read: Callable[[], Result]) -> Result:
        """What is known, read where it is written: in the thread of the event loop."""
        if _is_in(self._running()):
            return read()

        async def reading() -> Result:
            return read()

        return self._run(reading())

    def _each(self, items: AsyncGenerator[Item, None]) -> Iterator[Item]:
        end, loop = object(), self._running()
        # An item that nobody waits for any more (Ctrl-C) ends in the other thread, and only then can the rest be closed.
        one_at_a_time = asyncio.Lock()

        async def following() -> Any:
            async with one_at_a_time:
                return await anext(items, end)

        closing: set[asyncio.Task[None]] = set()

        async def closed() -> None:
            async with one_at_a_time:
                await items.aclose()

        try:
            while (item := self._run(following())) is not end:
                yield item
        finally:
            # Nobody waits for this: the garbage collector may end this generator, in whichever thread, also in that of the loop.
            with contextlib.suppress(RuntimeError):  # the loop has ended, and everything in it
                loop.call_soon_threadsafe(lambda: closing.add(loop.create_task(closed())))

    def _alone(self) -> contextlib.AbstractContextManager[bool]:
        """The guard of the loop; in a child of `os.fork()` a new one, because no thread there would ever release the old one."""
        if self._pid != os.getpid():
            self._begin()
        return self._guard

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._alone():
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(self._loop,), name="suptree", daemon=True)
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(_end_tasks())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _end_tasks() -> None:
    """Let each task of the loop end by itself, as the end of the tree has it do, and cancel those that do not."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=_GRACE)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _is_in(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
