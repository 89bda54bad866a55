"""Starting an external program: what is executed, with which environment, and whose child it is."""

import asyncio
import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from .agent_spec import AgentSpec
from .linux import bound_to_us
from .messages import Begin
from .notify import NOTIFY_SOCKET
from .program_streams import ProgramStreams

_EXEC_ERRORS = {
    errno.ENOEXEC: "is not a program: it is neither a binary for this machine nor a script that begins with #!",
    errno.ENOENT: "cannot be started: the interpreter in its #! line does not exist",
    errno.E2BIG: "cannot be started: its arguments and environment are too long",
}
"""What the kernel says of a file that is there and executable."""


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


def environment(begin: Begin) -> dict[str, str]:
    """What the program of an agent finds in its environment."""
    spec: AgentSpec = begin.spec
    found = {
        **os.environ,
        **spec.env,
        "SUPTREE_AGENT_ID": begin.id,
        "SUPTREE_RUN_ID": begin.context.run_id,
        "SUPTREE_RESTART_COUNT": str(begin.restarts),
        "NOTIFY_SOCKET": str(Path(begin.context.runtime_dir) / NOTIFY_SOCKET),
    }
    if spec.watchdog:
        found["WATCHDOG_USEC"] = str(int(spec.heartbeat.dead_after * 1_000_000))
    return found


async def execute(begin: Begin, streams: ProgramStreams, join: Callable[[], None]) -> asyncio.subprocess.Process:
    """Start the program of an agent, in a session of its own, dead when this process is. Raises CannotExecute.

    `join` is called in the new process before its first instruction.
    """
    spec: AgentSpec = begin.spec
    assert spec.command is not None  # noqa: S101  (the spec refuses to be built without)
    if spec.cwd is not None and not Path(spec.cwd).is_dir():
        raise CannotExecute(f"cwd is not a folder: {spec.cwd!r}")
    program = resolve(spec.command, spec.cwd)
    try:
        return await asyncio.create_subprocess_exec(
            spec.command,
            *spec.args,
            executable=program,
            cwd=spec.cwd,
            env=environment(begin),
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
            start_new_session=True,
            preexec_fn=bound_to_us(streams.become_terminal, join),
        )
    except OSError as error:
        what = _EXEC_ERRORS.get(error.errno or 0, f"cannot be started: {error.strerror}")
        raise CannotExecute(f"command {spec.command!r} {what}") from None
    finally:
        streams.close_program_ends()
