"""Threads of programs that have asked to be traced by their parent, which is a process of ours (PTRACE_TRACEME): it has to reap them."""

import contextlib
import os
from collections.abc import Collection

from .linux import stat_fields

_WALL = 0x40000000
_WCLONE = -0x80000000  # as a signed number, which os.waitid() wants
_ENDED = (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED)


def reap_all_traced_threads(children: Collection[int]) -> None:
    """Reap the threads that have ended and are traced by this process, as they are when they ask for it (PTRACE_TRACEME).

    Until then the process of such a thread is not over: the kernel says to nobody that it has ended, and it cannot be reaped.
    The `children` of this process are left to others.
    """
    with contextlib.suppress(ChildProcessError):
        # Of the children that are not traced, none is found with `__WCLONE`: they end with SIGCHLD.
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WCLONE):
            if found.si_code not in _ENDED:
                # Of one that is traced the kernel says, too, that it has been stopped, until somebody has taken note of that.
                os.waitid(os.P_PID, found.si_pid, os.WSTOPPED | os.WNOHANG | _WALL)
            elif found.si_pid in children:
                break
            else:
                os.waitpid(found.si_pid, os.WNOHANG | _WALL)


def reap_traced_threads(pid: int) -> None:
    """The same of one child, whose first thread has ended, and that may be traced itself."""
    with contextlib.suppress(OSError):
        if stat_fields(f"/proc/{pid}")[0] != b"Z":
            return
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            if task != str(pid):
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(int(task), os.WNOHANG | _WALL)
