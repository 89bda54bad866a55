"""The command line and the environment of a process, as /proc shows them.

Both are memory of that process, which may give them any length and any content (prctl(2), PR_SET_MM_MAP): no more is read than is needed.
"""

from pathlib import Path

from .linux import read_kernel_file

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
    entries = b"\0" + read_kernel_file(f"/proc/{pid}/environ", _ENVIRONMENT)
    _, found, rest = entries.partition(f"\0{name}=".encode())
    return rest.partition(b"\0")[0] if found else None


def carries(pid: int, name: str, value: str) -> bool | None:
    """Whether a process was started with that variable. Raises OSError when its environment may not be read, or it has ended.

    None while it is in the middle of execve(2): it shows its environment a moment later.
    """
    if environment := read_kernel_file(f"/proc/{pid}/environ", _ENVIRONMENT):
        return f"\0{name}={value}\0".encode() in b"\0" + environment
    # What has ended, and a thread of the kernel, has no program: that raises OSError.
    Path(f"/proc/{pid}/exe").readlink()
    return False if _was_given_none(pid) else None


def _was_given_none(pid: int) -> bool:
    """Whether a process has an environment, which is empty. In the middle of execve(2) it has none, or one that only begins."""
    # proc(5): startcode, env_start and env_end are the fields 26, 50 and 51; the third follows the name, which stands in parentheses.
    fields = read_kernel_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    # The kernel sets the first of them when the environment is complete.
    code, begins, ends = fields[23], fields[47], fields[48]
    return code != b"0" and begins == ends != b"0"
