"""Starting an external program: what is executed, and whose child it is."""

import asyncio
import errno
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from ..agent.confinement import CannotConfine, Confinement
from ..exits import CauseId
from ..kernel.linux import bound_to_us
from ..spec.agent_spec import AgentSpec
from .program_streams import ProgramStreams

_EXEC_ERRORS = {
    errno.ENOEXEC: "is not a program: it is neither a binary for this machine nor a script that begins with #!",
    errno.ENOENT: "cannot be started: its interpreter (what its #! line names, or the loader of a binary) does not exist",
    errno.E2BIG: "cannot be started: its arguments and environment are too long",
}
"""What the kernel says of a file that is there and executable."""

SHORTAGES = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY)
"""What may pass by itself: the limit of processes, memory, descriptors; a program that is being written."""

_EXEC_CAUSES = dict.fromkeys(SHORTAGES, CauseId.SHORTAGE) | {
    errno.ENOEXEC: CauseId.NOT_A_PROGRAM,
    errno.ENOENT: CauseId.NO_INTERPRETER,
    errno.EACCES: CauseId.NOT_EXECUTABLE,
}


class CannotExecute(Exception):
    """The command cannot be executed; the text says why, in the user's words, and `cause` what the matter is, where that is known."""

    def __init__(self, why: str, cause: CauseId | None = None) -> None:
        super().__init__(why)
        self.cause = cause


def resolve(command: str, cwd: str | None, path_variable: str | None = None) -> str:
    """The path of a program; raises CannotExecute with its own clear word for each way in which there is none."""
    if "/" not in command:
        found = shutil.which(command, path=path_variable)
        if found is None:
            raise CannotExecute(f"command not found: {command!r} is in no folder of PATH", CauseId.COMMAND_NOT_FOUND)
        return found
    path = Path(cwd or ".", command)
    try:
        mode = path.stat().st_mode
    except NotADirectoryError:
        raise CannotExecute(f"command not found: a part of {command!r} is not a folder", CauseId.COMMAND_NOT_FOUND) from None
    except FileNotFoundError:
        raise CannotExecute(f"command not found: there is no file {command!r}", CauseId.COMMAND_NOT_FOUND) from None
    except PermissionError:
        raise CannotExecute(f"no permission to look at {command!r}") from None
    except OSError as error:
        # A circle of links, a name that is too long.
        raise CannotExecute(f"command not found: {command!r}: {error.strerror}", CauseId.COMMAND_NOT_FOUND) from None
    if stat.S_ISDIR(mode):
        raise CannotExecute(f"command is a folder: {command!r}", CauseId.IS_A_FOLDER)
    if not os.access(path, os.X_OK):
        raise CannotExecute(f"command is not executable: {command!r} (chmod +x it?)", CauseId.NOT_EXECUTABLE)
    return str(path.absolute())


async def execute(
    spec: AgentSpec, environment: Mapping[str, str], streams: ProgramStreams, join: Callable[[], None], confinement: Confinement
) -> asyncio.subprocess.Process:
    """Start the program of an agent, in a session of its own, dead when this process is. Raises CannotExecute.

    `join` is called in the new process before its first instruction, and before it is confined.
    """
    assert spec.command is not None  # noqa: S101  (the spec refuses to be built without)
    try:
        if spec.cwd is not None and not Path(spec.cwd).is_dir():
            raise CannotExecute(f"cwd is not a folder: {spec.cwd!r}")
        program = resolve(spec.command, spec.cwd, environment.get("PATH"))
        confinement.own(streams.made)
        with confinement.starting() as confine:
            return await asyncio.create_subprocess_exec(
                spec.command,
                *spec.args,
                executable=program,
                cwd=spec.cwd,
                env=environment,
                stdin=streams.stdin,
                stdout=streams.stdout,
                stderr=streams.stderr,
                start_new_session=True,
                preexec_fn=bound_to_us(streams.become_terminal, join, confine),
            )
    except CannotConfine as refusal:
        raise CannotExecute(str(refusal)) from None
    except OSError as error:
        raise refused(spec, error) from None
    finally:
        streams.close_program_ends()


def refused(spec: AgentSpec, error: OSError) -> CannotExecute:
    """What the kernel's refusal to start a program means."""
    as_user = f" as user {spec.user}" if spec.user is not None else ""
    what = _EXEC_ERRORS.get(error.errno or 0, f"cannot be started{as_user}: {error.strerror}")
    return CannotExecute(f"command {spec.command!r} {what}", _EXEC_CAUSES.get(error.errno or 0))
