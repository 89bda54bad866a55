"""The actor that owns one external program."""

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import stat
from pathlib import Path
from typing import ClassVar

from .agent_actor import AgentActor
from .exits import Exit, ExitClass
from .linux import die_with_parent, own_children, signal_name
from .notify import NOTIFY_SOCKET
from .output_log import LineSplitter
from .sweep import process_ended, reap_zombies, sweep

_CHUNK = 256 * 1024
# After the sweep nobody holds the pipes; what is in them is read well within this.
_DRAIN_LIMIT = 5.0

PERMANENT_CODES = {64: "bad usage", 77: "no permission", 78: "bad configuration", 126: "cannot be executed", 127: "command not found"}
"""Exit statuses that a restart cannot mend (sysexits.h and the shell's own)."""
QUOTA_CODE = 75
"""sysexits.h: EX_TEMPFAIL."""
_EXEC_ERRORS = {
    errno.ENOEXEC: "is not a program: it is neither a binary for this machine nor a script that begins with #!",
    errno.ENOENT: "cannot be started: the interpreter in its #! line does not exist",
    errno.E2BIG: "cannot be started: its arguments and environment are too long",
}
"""What the kernel says of a file that is there and executable."""
_EXTERNAL_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class CannotExecute(Exception):
    """The command cannot be executed; the text says why, in the user's words."""


def resolve(command: str, cwd: str | None) -> str:
    """The path of a program; raises CannotExecute with its own clear word for each way in which there is none."""
    if "/" not in command:
        found = shutil.which(command)
        if found is None:
            raise CannotExecute(f"command not found: {command!r} is in no folder of PATH")
        return found
    path = Path(cwd or ".", command)
    try:
        mode = path.stat().st_mode
    except NotADirectoryError:
        raise CannotExecute(f"command not found: a part of {command!r} is not a folder") from None
    except FileNotFoundError:
        raise CannotExecute(f"command not found: there is no file {command!r}") from None
    except PermissionError:
        raise CannotExecute(f"no permission to look at {command!r}") from None
    if stat.S_ISDIR(mode):
        raise CannotExecute(f"command is a folder: {command!r}")
    if not os.access(path, os.X_OK):
        raise CannotExecute(f"command is not executable: {command!r} (chmod +x it?)")
    return str(path.absolute())


def classify(code: int) -> tuple[ExitClass, str]:
    """The exit class and reason of a return code as subprocess gives it (negative: died by that signal)."""
    if code == 0:
        return ExitClass.NORMAL, "exit 0"
    if code in PERMANENT_CODES:
        return ExitClass.PERMANENT, f"exit {code} ({PERMANENT_CODES[code]})"
    if code == QUOTA_CODE:
        return ExitClass.QUOTA, "exit 75 (try again later)"
    number = -code if code < 0 else code - 128 if code > 128 else 0
    if number in _EXTERNAL_SIGNALS:
        return ExitClass.EXTERNAL, signal_name(number)
    if number:
        return ExitClass.CRASH, signal_name(number) if code < 0 else f"exit {code} ({signal_name(number)})"
    return ExitClass.FAILED, f"exit {code}"


class ProcessAgent(AgentActor):
    """Starts a program in a session of its own, drains its output, and ends it rung by rung."""

    owns_program: ClassVar[bool] = True

    async def run(self) -> None:
        """The whole life of the program."""
        self._stop_requested = False
        self._next_rung = asyncio.Event()
        try:
            program = await self._start()
        except CannotExecute as refusal:
            await self.finish(Exit(ExitClass.PERMANENT, str(refusal), during_start=True))
            return
        except OSError as error:
            what = _EXEC_ERRORS.get(error.errno or 0, f"cannot be started: {error.strerror}")
            await self.finish(Exit(ExitClass.PERMANENT, f"command {self.spec.command!r} {what}", during_start=True))
            return
        self._program = program
        self.loop.add_signal_handler(signal.SIGCHLD, lambda: reap_zombies({program.pid}))
        drains = [self.loop.create_task(self._drain(reader, name)) for reader, name in ((program.stdout, "out"), (program.stderr, "err"))]
        self.started(program.pid)
        if self._stop_requested:
            self.spawn(self._climb_down())
        await process_ended(program.pid)
        self.ended = True
        # Its descendants may hold the pipes, and asyncio waits for those before it gives the exit status: they go first.
        self.loop.remove_signal_handler(signal.SIGCHLD)
        await sweep(lambda: {program.pid}, self.swept.note)
        code = await program.wait()
        await asyncio.wait(drains, timeout=_DRAIN_LIMIT)
        exit_class, reason = classify(code)
        if self._stop_requested:
            exit_class = ExitClass.SHUTDOWN
        await self.finish(Exit(exit_class, reason, last_error=self.output.last_error))

    def stop(self) -> None:
        """Climb down the ladder: SIGINT, SIGTERM, SIGKILL, each only if the one before did not end the program in its time."""
        if self._stop_requested:
            self._next_rung.set()
            return
        self._stop_requested = True
        if hasattr(self, "_program"):
            self.spawn(self._climb_down())

    async def _start(self) -> asyncio.subprocess.Process:
        spec, context = self.spec, self.begin.context
        assert spec.command is not None  # noqa: S101  (the spec refuses to be built without)
        if spec.cwd is not None and not Path(spec.cwd).is_dir():
            raise CannotExecute(f"cwd is not a folder: {spec.cwd!r}")
        program = resolve(spec.command, spec.cwd)
        environment = {
            **os.environ,
            **spec.env,
            "SUPTREE_AGENT_ID": self.begin.id,
            "SUPTREE_RUN_ID": context.run_id,
            "SUPTREE_RESTART_COUNT": str(self.begin.restarts),
            "NOTIFY_SOCKET": str(Path(context.runtime_dir) / NOTIFY_SOCKET),
        }
        if spec.watchdog:
            environment["WATCHDOG_USEC"] = str(int(spec.heartbeat.dead_after * 1_000_000))
        owner = os.getpid()

        def in_child() -> None:
            die_with_parent(signal.SIGKILL)
            if os.getppid() != owner:
                os._exit(1)

        return await asyncio.create_subprocess_exec(
            spec.command,
            *spec.args,
            executable=program,
            cwd=spec.cwd,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            preexec_fn=in_child,
            limit=_CHUNK,
        )

    async def _drain(self, reader: asyncio.StreamReader | None, stream: str) -> None:
        assert reader is not None  # noqa: S101
        splitter = LineSplitter(self.output, stream)
        while data := await reader.read(_CHUNK):
            splitter.feed(data)
        splitter.close()

    async def _climb_down(self) -> None:
        rungs = ((self.spec.stop.sigint, (signal.SIGINT,)), (self.spec.stop.sigterm, (signal.SIGTERM, signal.SIGCONT)))
        for seconds, numbers in rungs:
            if seconds > 0 and not self.ended:
                for number in numbers:
                    self._signal_group(number)
                self._next_rung.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._next_rung.wait(), seconds)
        if not self.ended:
            self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        # The program led its own session from the start, and is not reaped yet: the group is ours, and its number is not reused.
        if self._program.returncode is None and self._program.pid in own_children():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._program.pid, number)
