"""Pre-stop and post-exit hooks: programs that run beside an agent's own life (Kubernetes: `preStop`; systemd: `ExecStopPost=`)."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from uuid import uuid4

from ..agent.awake_time import within
from ..agent.confinement import CannotConfine, Confinement
from ..kernel.linux import bound_to_us
from ..kernel.sweep import process_ended, sweep
from .execution import SHORTAGES
from .hook_output import HookOutput
from .left_behind import LeftBehind

_REAP_LIMIT = 5.0
_LOOK_AGAIN = 0.01
_LOOK_FOR = 1.0
_TOKEN = "SUPTREE_HOOK_ID"  # noqa: S105  (the name of a variable)
"""In the environment of a hook or probe and of all that it starts; each run has its own."""


class HookFailed(Exception):
    """A hook could not be run, failed, or took too long; the text says which."""


class HookNotRun(HookFailed):
    """A hook could not be run, because something is missing that may be there again in a moment (SHORTAGES)."""


def _output_of(argv: tuple[str, ...], write: Callable[[bytes], None]) -> HookOutput:
    try:
        return HookOutput(write)
    except OSError as error:
        raise HookNotRun(f"{argv[0]!r} cannot be run: there is no pipe for its output: {error.strerror}") from None


class RunningHooks(set[int]):
    """The pids of the hooks that run now, which must not be reaped; nor must one that is `starting`, whose pid is not known yet."""

    starting = 0


class Hooks:
    """Runs hooks and probes, one process each with what it starts; `pids` are those that run now.

    `write` gets what one prints, while it runs: its lines, with newlines between them.
    """

    def __init__(
        self, join: Callable[[], None], confinement: Confinement, write: Callable[[bytes], None], pids: RunningHooks | None = None
    ) -> None:
        self._join = join
        self._confinement = confinement
        self._write = write
        self.pids = RunningHooks() if pids is None else pids

    async def run(
        self, argv: tuple[str, ...], *, cwd: str | None, environment: Mapping[str, str], limit: float, leave_nothing: bool = False
    ) -> None:
        """Run a program to its end, for at most `limit` seconds; its output goes to the agent's log. Raises HookFailed.

        What it leaves behind lives on below the agent, unless `leave_nothing` is set: then it is ended with the program.
        """
        token = uuid4().hex
        environment = {**environment, _TOKEN: token}
        with _output_of(argv, self._write) as output:
            self._confinement.own([output.fileno()])
            self.pids.starting += 1
            try:
                with self._confinement.starting() as confine:
                    hook = await asyncio.create_subprocess_exec(
                        *argv,
                        cwd=cwd,
                        env=environment,
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=output.fileno(),
                        stderr=output.fileno(),
                        start_new_session=True,
                        preexec_fn=bound_to_us(self._join, confine),
                    )
            except CannotConfine as refusal:
                raise HookFailed(f"{argv[0]!r} cannot be run: {refusal}") from None
            except OSError as error:
                kind = HookNotRun if error.errno in SHORTAGES else HookFailed
                raise kind(f"{argv[0]!r} cannot be run: {error.strerror}") from None
            else:
                self.pids.add(hook.pid)
            finally:
                self.pids.starting -= 1
            in_time = False
            try:
                await within(limit, process_ended(hook.pid))
                in_time = True
            except TimeoutError:
                pass
            finally:
                may_be_ended = in_time or _kill(hook.pid)
                code = await _reaped(hook) if may_be_ended else None
                # What may not be ended is among the orphans from here on: the end of the agent waits for it, and says so.
                self.pids.discard(hook.pid)
            if code is None:
                why = "is traced by another process" if may_be_ended else f"took longer than {limit:g} s, and runs as another user by now"
                raise HookFailed(f"{argv[0]!r} {why}: it cannot be ended")
            if leave_nothing:
                await self._end_what_is_left_of(hook.pid, token)
        if not in_time:
            raise HookFailed(f"{argv[0]!r} took longer than {limit:g} s")
        if code != 0:
            raise HookFailed(f"{argv[0]!r} ended with status {code}")

    async def _end_what_is_left_of(self, hook: int, token: str) -> None:
        until, left = time.monotonic() + _LOOK_FOR, LeftBehind(self.pids, hook, _TOKEN, token)
        await sweep(left.others)
        # No event says when execve(2) is over.
        while left.is_unclear and time.monotonic() < until:
            await asyncio.sleep(_LOOK_AGAIN)
            await sweep(left.others)


async def _reaped(hook: asyncio.subprocess.Process) -> int | None:
    """Its return code; None while another process traces it, for then it stays."""
    try:
        return await within(_REAP_LIMIT, hook.wait())
    except TimeoutError:
        return None


def _kill(hook: int) -> bool:
    """End the process group of a hook; whether the hook itself may be ended."""
    if _is_reaped(hook):
        return True
    # It leads its own session and lives, or is not reaped yet, and nothing is reaped before we return: its number is its own.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(hook, signal.SIGKILL)
    try:
        os.kill(hook, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except PermissionError:
        # It runs as somebody else, by a set-user-ID program.
        return False
    return True


def _is_reaped(child: int) -> bool:
    """Whether a child has ended, and its number may be another process's by now: asyncio reaps it first, and says so later."""
    try:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False
