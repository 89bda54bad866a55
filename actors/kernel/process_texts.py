"""The command line and the environment of a process, as /proc shows them.

Both are memory of that process, which may give them any length and any content (prctl(2), PR_SET_MM_MAP): no more is read than is needed.
"""

import os
from pathlib import Path

from .linux import read_kernel_file, stat_fields

_ENVIRONMENT = 2 * 1024 * 1024
"""What execve(2) takes of arguments and environment together where the stack has the usual limit of 8 MiB."""
_COMMAND_LINE = 32 * 1024
_ARGUMENTS = 500


def command_line(pid: int) -> list[bytes]:
    """The arguments that a process was started with, none for a zombie; `…` ends them where some are left out. Raises OSError."""
    said = read_kernel_file(f"/proc/{pid}/cmdline", _COMMAND_LINE)
    if not said.strip(b"\0"):
        return []
    whole = len(said) < _COMMAND_LINE
    arguments = (said.rstrip(b"\0") if whole else said).split(b"\0", _ARGUMENTS)
    if whole and len(arguments) <= _ARGUMENTS:
        return arguments
    # Without the last, which is cut: a part of a secret is a secret that nobody would recognise.
    return [*arguments[:-1], "…".encode()]


def variable(pid: int, name: str) -> bytes | None:
    """The value of a variable that a process was started with, None where it had none. Raises OSError when it may not be read."""
    # Not entry by entry: there may be two million.
    _, found, rest = (b"\0" + _environment(pid)[1]).partition(f"\0{name}=".encode())
    return rest.partition(b"\0")[0] if found else None


def carries(pid: int, name: str, value: str) -> bool | None:
    """Whether a process was started with that variable. Raises OSError when its environment may not be read, or it has ended.

    None while it is in the middle of execve(2): it shows its environment a moment later.
    """
    task, environment = _environment(pid)
    if environment:
        return f"\0{name}={value}\0".encode() in b"\0" + environment
    # What has ended, and a thread of the kernel, has no program: that raises OSError.
    Path(f"{task}/exe").readlink()
    return False if _was_given_none(task) else None


def _environment(pid: int) -> tuple[str, bytes]:
    """What a process was started with, and the folder in /proc that shows it: of another thread, where the first has ended."""
    task = f"/proc/{pid}"
    if stat_fields(task)[0] == b"Z":
        with os.scandir(f"{task}/task") as threads:
            # There may be very many.
            task = next((thread.path for thread in threads if thread.name != str(pid)), task)
    return task, read_kernel_file(f"{task}/environ", _ENVIRONMENT)


def _was_given_none(task: str) -> bool:
    """Whether a process has an environment, which is empty. In the middle of execve(2) it has none, or one that only begins."""
    # startcode, env_start and env_end are the fields 26, 50 and 51.
    fields = stat_fields(task)
    # The kernel sets the first of them when the environment is complete.
    code, begins, ends = fields[23], fields[47], fields[48]
    return code != b"0" and begins == ends != b"0"
