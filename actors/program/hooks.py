"""Pre-stop and post-exit hooks: programs that run beside an agent's own life (Kubernetes: `preStop`; systemd: `ExecStopPost=`)."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Mapping
from typing import IO

from ..agent.confinement import CannotConfine, Confinement
from ..kernel.linux import bound_to_us
from ..kernel.sweep import process_ended

_OUTPUT_KEPT = 64 * 1024


def _output_of(argv: tuple[str, ...]) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise HookFailed(f"{argv[0]!r} cannot be run: there is no place for its output: {error.strerror}") from None


class HookFailed(Exception):
    """A hook could not be run, failed, or took too long; the text says which."""


class RunningHooks(set[int]):
    """The pids of the hooks that run now, which must not be reaped; nor must one that is `starting`, whose pid is not known yet."""

    starting = 0


class Hooks:
    """Runs hooks; `pids` are those that run now."""

    def __init__(
        self, join: Callable[[], None], confinement: Confinement, write: Callable[[bytes], None], pids: RunningHooks | None = None
    ) -> None:
        self._join = join
        self._confinement = confinement
        self._write = write
        self.pids = RunningHooks() if pids is None else pids

    async def run(self, argv: tuple[str, ...], *, cwd: str | None, environment: Mapping[str, str], limit: float) -> None:
        """Run a program to its end, for at most `limit` seconds; its output goes to the agent's log. Raises HookFailed."""
        # A file, not a pipe: what the hook leaves behind could hold a pipe open.
        with _output_of(argv) as output:
            self._confinement.own([output.fileno()])
            self.pids.starting += 1
            try:
                with self._confinement.starting() as confine:
                    hook = await asyncio.create_subprocess_exec(
                        *argv,
                        cwd=cwd,
                        env=environment,
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        start_new_session=True,
                        preexec_fn=bound_to_us(self._join, confine),
                    )
            except CannotConfine as refusal:
                raise HookFailed(f"{argv[0]!r} cannot be run: {refusal}") from None
            except OSError as error:
                raise HookFailed(f"{argv[0]!r} cannot be run: {error.strerror}") from None
            else:
                self.pids.add(hook.pid)
            finally:
                self.pids.starting -= 1
            in_time = True
            try:
                async with asyncio.timeout(limit):
                    await process_ended(hook.pid)
            except (TimeoutError, asyncio.CancelledError) as over:
                in_time = False
                # It leads its own session and is not reaped yet: its number is its own.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(hook.pid, signal.SIGKILL)
                if isinstance(over, asyncio.CancelledError):
                    await hook.wait()
                    self.pids.discard(hook.pid)
                    raise
            code = await hook.wait()
            self.pids.discard(hook.pid)
            output.seek(0)
            for line in output.read(_OUTPUT_KEPT).splitlines():
                self._write(line)
        if not in_time:
            raise HookFailed(f"{argv[0]!r} took longer than {limit:g} s")
        if code != 0:
            raise HookFailed(f"{argv[0]!r} ended with status {code}")
