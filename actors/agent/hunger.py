"""Bounds for an agent that could eat the machine, where no control group bounds it: what the kernel offers a single process."""

import contextlib
import os
import resource
from collections.abc import Callable
from pathlib import Path

from ..spec.agent_spec import LimitSpec

_NICER = 10


def bound_without_group(limits: LimitSpec, held: frozenset[str], user_id: int) -> Callable[[], None]:
    """What a new process of an agent is to call before it changes to that user; `held` is what a group holds (`Cgroup.held`).

    `pids_max` becomes RLIMIT_NPROC, which counts all that its user has: so many more than now. Root is not bound by it. `cpu_max` makes it
    nicer, and so others come first.
    """
    pids = None if "pids" in held or user_id == 0 else limits.pids_max
    most = None if pids is None else tasks_of(user_id) + pids
    is_nicer = limits.cpu_max is not None and "cpu" not in held

    def bound() -> None:
        if most is not None:
            hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
            wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(resource.RLIMIT_NPROC, (wanted, wanted))
        if is_nicer:
            os.nice(_NICER)
            # Where each session is scheduled as one (sched(7)), the value of the session counts, and not that of the process.
            with contextlib.suppress(OSError):
                Path("/proc/self/autogroup").write_text(str(os.getpriority(os.PRIO_PROCESS, 0)), encoding="ascii")

    return bound


def tasks_of(user_id: int) -> int:
    """How many processes and threads a user has."""
    found = 0
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if process.name.isdecimal() and process.stat().st_uid == user_id:
                found += len(os.listdir(process / "task"))  # noqa: PTH208  (names, not paths)
    return found
