"""The few kernel calls that the standard library does not offer."""

import contextlib
import ctypes
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_SYS_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "loongarch64": 219, "ppc64le": 271, "s390x": 280, "i686": 288, "armv7l": 311}
"""The C library has no function for this call."""
_KEYCTL_JOIN_SESSION_KEYRING = 1

_MOST_OOM_SCORE = 1000
OOM_SCORE_OF_AGENTS = 500
"""So much higher is the `oom_score_adj` of agents than that of the processes that supervise them."""

_READ_SIZE = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _prctl(option: int, argument: int | ctypes.c_char_p) -> None:
    _checked(_libc.prctl(option, argument, 0, 0, 0))


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Let the kernel send this process a signal when the thread that forked it ends; 0 takes that back."""
    _prctl(_PR_SET_PDEATHSIG, number)


def bound_to_us(*also: Callable[[], None]) -> Callable[[], None]:
    """What a child of this process is to call before it executes a program: it does `also`, and dies when this process does."""
    owner = os.getpid()

    def in_child() -> None:
        die_with_parent(signal.SIGKILL)
        for act in also:
            act()
        # The kernel forgets it when a process changes to another user.
        die_with_parent(signal.SIGKILL)
        if os.getppid() != owner:
            os._exit(1)

    return in_child


def become_subreaper() -> None:
    """Adopt every orphaned descendant, so that none escapes to process 1."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def no_new_privileges() -> None:
    """Let neither this process nor any that descends from it gain privileges by executing something (set-user-ID, file capabilities)."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def leave_session_keyring() -> None:
    """Give this process, and what it starts, a new session keyring (systemd.exec(5): `KeyringMode=private`).

    Who possesses a keyring reads the keys in it, whatever user that is: an agent of another user would read ours. Where the kernel has no
    keys, or a container forbids the call, which then forbids it to the agent too, there is nothing to leave.
    """
    if (number := _SYS_KEYCTL.get(platform.machine())) is not None:
        _libc.syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, None)


def go_first_when_memory_runs_out() -> None:
    """Have the kernel's OOM killer prefer this process, and what it starts, to those that supervise it (proc_pid_oom_score_adj(5))."""
    # Where /proc is masked, as in some containers, nothing can be preferred.
    with contextlib.suppress(OSError, ValueError), open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:  # noqa: PTH123
        before = int(file.read())
        file.seek(0)
        file.write(str(min(_MOST_OOM_SCORE, before + OOM_SCORE_OF_AGENTS)))


def set_name(name: str) -> None:
    """The name that `ps -o comm`, `top` and `pstree` show for this process; 15 bytes of it."""
    _prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]))


def create_timer() -> int:
    """A timer, as a descriptor that is readable when it has expired (timerfd_create(2), which Python offers from 3.13 on)."""
    return _checked(_libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))


def set_timer(descriptor: int, seconds: float | None) -> None:
    """Let it expire once, in so many seconds, or never (None); whatever it was set to before is forgotten, and that it has expired too."""
    # The kernel understands 0 as never.
    nanoseconds = 0 if seconds is None else max(1, int(seconds * 1e9))
    value = _Itimerspec(value=_Timespec(*divmod(nanoseconds, 1_000_000_000)))
    _checked(_libc.timerfd_settime(descriptor, 0, ctypes.byref(value), None))


def create_inotify() -> int:
    """A descriptor that is readable after changes in folders (inotify_init1(2)). Raises OSError: a user may have only so many."""
    return _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def add_inotify_watch(descriptor: int, path: Path, changes: int) -> int:
    """Watch a file or folder for changes, a sum of inotify(7)'s `IN_…`; return the number of the watch. Raises OSError."""
    return _checked(_libc.inotify_add_watch(descriptor, os.fsencode(path), ctypes.c_uint32(changes)))


def remove_inotify_watch(descriptor: int, watch: int) -> None:
    """Watch this no more. Raises OSError."""
    _checked(_libc.inotify_rm_watch(descriptor, watch))


def read_kernel_file(path: str, most: int = sys.maxsize) -> bytes:
    """What a file in /proc holds, or its beginning. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts: list[bytes] = []
        # One read gives no more than the kernel has at hand.
        while most > 0 and (part := os.read(descriptor, min(most, _READ_SIZE))):
            parts.append(part)
            most -= len(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)


def stat_fields(task: str) -> list[bytes]:
    """What proc_pid_stat(5) lists of a task (`/proc/PID`), from the third on, which follows the name. Raises OSError when it has ended."""
    # The name stands in parentheses, and may hold some itself.
    return read_kernel_file(f"{task}/stat").rpartition(b")")[2].split()


def children_of(pid: int) -> list[int]:
    """The pids of all direct children of a process, adopted ones and zombies too, oldest first."""
    pids: list[int] = []
    try:
        # Read on every exit, and of a program with as many threads as it likes: kept cheap.
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            pids += map(int, read_kernel_file(f"/proc/{pid}/task/{task}/children").split())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        # It has ended, or /proc hides it (hidepid): not for lack of descriptors, which would make all look as if they had no children.
        pass
    return pids


def parent_of(pid: int) -> int | None:
    """The parent of a process, None where it has ended, or cannot be looked at."""
    try:
        return int(stat_fields(f"/proc/{pid}")[1])
    except OSError:
        return None


def began(pid: int) -> int | None:
    """When a process began, in clock ticks after boot: with its pid that says which process it is. None where it cannot be looked at."""
    try:
        return int(stat_fields(f"/proc/{pid}")[19])
    except OSError:
        return None


def this_process() -> str:
    """A name of this process that no other process has, nor will have its pid some day: its pid, and when it began."""
    return f"{os.getpid()}.{began(os.getpid())}"


def with_descendants(*pids: int) -> list[int]:
    """Some processes and all that descend from them, however deep they stand: a program may fork that deep."""
    found = list(pids)
    for pid in found:
        found += children_of(pid)
    return found


def own_children() -> list[int]:
    """The pids of all direct children of this process."""
    return children_of(os.getpid())


def users_of(pid: int) -> set[int]:
    """The real, effective, saved and file system user of a process, as which it acts or may act. Raises OSError when it has ended."""
    with open(f"/proc/{pid}/status", "rb") as status:  # noqa: PTH123
        uids = next((line.split()[1:] for line in status if line.startswith(b"Uid:")), [])
    return {int(uid) for uid in uids}


def is_pending(number: int, pid: int) -> bool:
    """Whether a signal was sent to a process that has not heard it yet."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123
        for line in status:
            if line.startswith("ShdPnd:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def signal_name(number: int) -> str:
    """`SIGSEGV` for 11; `signal 40` for one that has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
