"""The actor that runs one native agent: an object of the user's, on the loop of a process of its own."""

import asyncio
import importlib
import inspect
import io
import os
import sys
import traceback
from typing import Any

from .agent_actor import AgentActor
from .errors import Shutdown
from .exits import Exit, ExitClass
from .output_log import LineSplitter, OutputLog


class CannotCreate(Exception):
    """The factory could not be found or did not make an agent; the text says why."""


def find_factory(name: str) -> Any:
    """The object behind `package.module:attribute`; raises CannotCreate."""
    module_name, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise CannotCreate(f"factory {name!r}: there is no module {error.name!r} on the path") from None
    except AttributeError:
        raise CannotCreate(f"factory {name!r}: module {module_name!r} has no {attribute!r}") from None
    return found


class NativeAgent(AgentActor):
    """Makes an agent with its factory, runs its `run()`, and ends it with its `shutdown()`.

    A factory that makes None declines to start an agent (OTP: `ignore`).
    """

    async def run(self) -> None:
        """The whole life of the agent."""
        self._stop_requested = False
        self._main: asyncio.Task[Any] | None = None
        self._stopping = asyncio.Event()
        self._redirect_output()
        try:
            self._agent = await self._create()
        except CannotCreate as refusal:
            await self.finish(Exit(ExitClass.PERMANENT, str(refusal), during_start=True))
            return
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            await self.finish(self._failure(error, during_start=True))
            return
        if self._agent is None:
            await self.finish(Exit(ExitClass.NORMAL, "its factory made no agent"), ignored=True)
            return
        self.started()
        work = getattr(self._agent, "run", None)
        self._main = self.loop.create_task(work() if work is not None else self._stopping.wait())
        if self._stop_requested:
            self.spawn(self._shut_down())
        try:
            await self._main
        except Shutdown as shutdown:
            how = Exit(ExitClass.SHUTDOWN, str(shutdown) or "shutdown")
        except asyncio.CancelledError:
            how = Exit(ExitClass.FAILED, "its run() was cancelled")
        except BaseException as error:  # noqa: BLE001
            how = self._failure(error)
        else:
            how = Exit(ExitClass.NORMAL, "run() returned")
        if self._stop_requested:
            await self._shutdown_done
            how = Exit(ExitClass.SHUTDOWN, "stop requested")
        await self.finish(how)

    def stop(self) -> None:
        """Ask the agent to shut down; a second request cancels it at once."""
        if self._stop_requested:
            if self._main is not None:
                self._main.cancel()
            return
        self._stop_requested = True
        self._shutdown_done = self.loop.create_future()
        if self._main is not None:
            self.spawn(self._shut_down())

    async def _create(self) -> Any:
        spec = self.spec
        sys.path[:0] = [entry for entry in self.begin.context.sys_path if entry not in sys.path]
        assert spec.factory is not None  # noqa: S101  (the spec refuses to be built without)
        factory = find_factory(spec.factory)
        create = getattr(factory, "create", factory)
        agent = create(self.begin.id, spec.name or self.begin.id, spec.role, spec.model, dict(spec.config))
        return await agent if inspect.isawaitable(agent) else agent

    async def _shut_down(self) -> None:
        shutdown = getattr(self._agent, "shutdown", None)
        assert self._main is not None  # noqa: S101
        try:
            async with asyncio.timeout(self.spec.stop.cancel):
                if shutdown is not None:
                    await shutdown()
        except TimeoutError:
            print(f"[suptree] shutdown() took longer than {self.spec.stop.cancel} s", file=sys.stderr)  # noqa: T201  (its own output)
        except Exception:  # noqa: BLE001  (the agent ends all the same)
            traceback.print_exc()
        self._stopping.set()
        self._main.cancel()
        self._shutdown_done.set_result(None)

    def _failure(self, error: BaseException, *, during_start: bool = False) -> Exit:
        traceback.print_exception(error)
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        return Exit(ExitClass.FAILED, line, last_error=line, during_start=during_start)

    def _redirect_output(self) -> None:
        """Its prints go to its own log, line by line; what C code writes goes to the same file as it is."""
        os.environ.update(SUPTREE_AGENT_ID=self.begin.id, SUPTREE_RESTART_COUNT=str(self.begin.restarts))
        sys.stdout, sys.stderr = _LogStream(self.output, "out"), _LogStream(self.output, "err")
        os.dup2(self.output.fileno(), 1)


class _LogStream(io.TextIOBase):
    """A text stream that keeps what is written to it, line by line, in an agent's log."""

    def __init__(self, log: OutputLog, stream: str) -> None:
        self._splitter = LineSplitter(log, stream)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._splitter.feed(text.encode("utf-8", "replace"))
        return len(text)
