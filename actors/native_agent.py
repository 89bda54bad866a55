"""The actor that runs one native agent: an object of the user's, on the loop of a process of its own."""

import asyncio
import contextlib
import importlib
import inspect
import io
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import structlog

from .agent_actor import AgentActor
from .confinement import CannotConfine
from .errors import InputRefused, Shutdown
from .exit_classes import classify
from .exits import Exit, ExitClass
from .limits import Limits
from .line_splitter import LineSplitter
from .output_log import OutputLog
from .raw_output import RawOutput
from .redaction import redact_logging

_OWN_STDOUT = Path("/proc/self/fd/1")


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

    owns_program: ClassVar[bool] = False
    _raw_output: list[RawOutput]
    # A Stop may come before `run` has begun.
    _stop_requested = False
    _main: asyncio.Task[Any] | None = None

    async def run(self) -> None:
        """The whole life of the agent."""
        self._handle_failure: Exit | None = None
        self._stopping = asyncio.Event()
        self._limits = Limits(self.spec.limits, partial(self.condemned, ExitClass.BUDGET))
        self._redirect_output()
        try:
            self._confine()
            self._agent = await self._create()
        except (CannotCreate, CannotConfine) as refusal:
            await self.finish(Exit(ExitClass.PERMANENT, str(refusal), during_start=True))
            return
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            await self.finish(self._failure(error, during_start=True))
            return
        if self._agent is None:
            await self.finish(Exit(ExitClass.NORMAL, "its factory made no agent"), ignored=True)
            return
        # Its memory is that of this process, which the kernel cannot be told to limit apart from us.
        self._limits.begin(os.getpid(), kernel_limits_memory=False)
        self.started()
        self._main = self.loop.create_task(self._work())
        watching = self.spawn(self._watch_health())
        if self._stop_requested:
            self.spawn(self._shut_down())
        how = await self._main
        watching.cancel()
        self.progress.end()
        self._limits.end()
        how = self._handle_failure or how
        if self._stop_requested:
            await self._shutdown_done
            how = Exit(ExitClass.SHUTDOWN, "stop requested")
        # What it wrote without a newline at the end is kept too.
        sys.stdout.close()
        sys.stderr.close()
        await self.finish(how)

    async def _work(self) -> Exit:
        """Run its `run()`; nothing that this may raise leaves the task, where asyncio would let some of it through."""
        work = getattr(self._agent, "run", None)
        try:
            result = work() if work is not None else self._stopping.wait()
            if inspect.isawaitable(result):
                await result
        except Shutdown as shutdown:
            return Exit(ExitClass.SHUTDOWN, str(shutdown) or "shutdown")
        except SystemExit as leaving:
            if isinstance(leaving.code, int | None):
                exit_class, reason = classify(leaving.code or 0)
                return Exit(exit_class, f"sys.exit: {reason}")
            return self._failure(leaving)
        except asyncio.CancelledError:
            return Exit(ExitClass.FAILED, "its run() was cancelled")
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            return self._failure(error)
        return Exit(ExitClass.NORMAL, "run() returned")

    async def _watch_health(self) -> None:
        """Ask it again and again whether it is well, from the moment when it is ready; at the first no it is condemned."""
        await self.is_ready.wait()
        self.progress.begin(os.getpid(), lambda: self.output.size)
        if not hasattr(self._agent, "health_check"):
            return
        limit = self.spec.heartbeat.dead_after
        while True:
            await asyncio.sleep(self.spec.heartbeat.interval)
            check = self.loop.create_task(self._check_health())
            # Not asyncio.timeout: a user's code may keep the cancellation to itself.
            done, _ = await asyncio.wait([check], timeout=limit)
            wrong = check.result() if done else f"health_check() took longer than {limit:g} s"
            check.cancel()
            if wrong is not None:
                self.condemned(ExitClass.UNHEALTHY, wrong)
                return

    async def _check_health(self) -> str | None:
        """What is wrong with it; nothing that `health_check()` may raise leaves the task."""
        try:
            well = self._agent.health_check()
            if inspect.isawaitable(well):
                well = await well
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            return f"health_check() raised {self._failure(error).reason}"
        return "health_check() returned False" if well is False else None

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

    def swept_all(self) -> None:
        """Nobody is left who could write to the log past us."""
        self._look_at_raw_output()

    def _look_at_raw_output(self) -> None:
        if not self._raw_output[-1].reads(1):
            # The log has rotated; child processes that were started before go on writing to the old file.
            self._raw_output = [self._raw_output[-1], RawOutput(_OWN_STDOUT, self.redactor, 0)]
        for raw in self._raw_output:
            raw.look()

    def tell(self, text: str) -> None:
        """Run its `handle(text)`; an error in that ends the agent, as one in its `run()` does."""
        handle = getattr(getattr(self, "_agent", None), "handle", None)
        if handle is None:
            raise InputRefused("it has no handle() that could be told")
        self.spawn(self._handle(handle, text))

    async def _handle(self, handle: Any, text: str) -> None:
        try:
            result = handle(text)
            if inspect.isawaitable(result):
                await result
        except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
            self._handle_failure = self._failure(error)
            if self._main is not None:
                self._main.cancel()

    def _confine(self) -> None:
        """This process is the agent's own from here on. Raises CannotConfine."""
        if self.refusal is not None:
            raise CannotConfine(self.refusal)
        os.environ.clear()
        os.environ.update(self.environment)
        self.confinement.enter()

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
        except BaseException:  # noqa: BLE001  (the agent ends all the same)
            traceback.print_exc()
        self._stopping.set()
        self._main.cancel()
        self._shutdown_done.set_result(None)

    def _failure(self, error: BaseException, *, during_start: bool = False) -> Exit:
        # Both run the error's own code, which may fail as well.
        with contextlib.suppress(Exception):
            traceback.print_exception(error)
        line = type(error).__name__
        with contextlib.suppress(Exception):
            line = f"{line}: {error}".splitlines()[0]
        return Exit(ExitClass.FAILED, line, last_error=line, during_start=during_start)

    def _redirect_output(self) -> None:
        """Its prints go to its own log, line by line; what C code and child processes write goes to the same file as it is."""
        # What the actor itself logs still goes where it went.
        own = os.fdopen(os.dup(2), "w", buffering=1)
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(own))
        for descriptor in (1, 2):
            self.output.redirect(descriptor)
        self._raw_output = [RawOutput(_OWN_STDOUT, self.redactor, os.fstat(1).st_size)]
        self.every(self.spec.heartbeat.interval, self._look_at_raw_output)
        redact_logging(self.redactor)
        sys.stdout, sys.stderr = (
            _log_stream(self.output, "out", self._limits.count_output),
            _log_stream(self.output, "err", self._limits.count_output),
        )


def _log_stream(log: OutputLog, stream: str, count: Callable[[int], None]) -> io.TextIOWrapper:
    """A text stream, as `sys.stdout` is one, that keeps what is written to it in an agent's log."""
    return io.TextIOWrapper(_LogWriter(log, stream, count), encoding="utf-8", errors="backslashreplace", write_through=True)


class _LogWriter(io.BufferedIOBase):
    name = "agent log"

    def __init__(self, log: OutputLog, stream: str, count: Callable[[int], None]) -> None:
        self._count = count
        self._descriptor = {"out": 1, "err": 2}[stream]
        self._splitter = LineSplitter(log, stream)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        self._count(len(data))
        self._splitter.feed(bytes(data))
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._splitter.close()
        super().close()
