"""Control groups: one for each run, and below it, as in the tree, one for each incarnation of a supervisor or program.

Every feature is detected by itself. In a cgroup v2 hierarchy that we may write to, a group can be killed as a whole (`cgroup.kill`),
however its processes fork or hide. Where v2 has the memory controller, or the v1 memory hierarchy is writable, a group also bounds
memory and counts OOM kills; likewise for processes (`pids`) and CPU time (`cpu`). On a machine with none of these, the sweep of the
descendants does the work.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .turns import LONGEST

OFF_VARIABLE = "SUPTREE_CGROUPS"
"""With the value `off` in the environment of a launcher its tree uses no control groups."""
_RUN_PREFIX = "suptree-"
_KILL_FOR = 10.0
_PAUSE = 0.005
_OPENED_TOGETHER = 64
_CONTROLLERS = ("memory", "pids", "cpu")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CPU_PERIOD = 100_000
"""In microseconds, the kernel's default."""


@dataclass(frozen=True, slots=True)
class Groups:
    """A group in the v2 hierarchy, and the same in the v1 hierarchies of some controllers; None where there can be none."""

    unified: str | None = None
    memory_v1: str | None = None
    pids_v1: str | None = None
    cpu_v1: str | None = None

    @property
    def each(self) -> tuple[str | None, ...]:
        """All of them, in the order of the fields."""
        return self.unified, self.memory_v1, self.pids_v1, self.cpu_v1

    @property
    def paths(self) -> list[Path]:
        """Those that there can be."""
        return [Path(path) for path in self.each if path is not None]

    @property
    def exist(self) -> bool:
        """Whether any of them is there."""
        return any(path.is_dir() for path in self.paths)

    def below(self, child_id: str, incarnation: int) -> "Groups":
        """Those of a child. They are made when there is a program to put into them."""
        return Groups(*(path and f"{path}/{child_id}.{incarnation}" for path in self.each))

    def kill(self) -> bool:
        """SIGKILL everything that lives in them, all together; return whether that is all.

        A kernel without `cgroup.kill` has it done one by one: for about 20 ms, and then the rest is for the next call. What they may use of
        the CPUs is not limited any more, for a process needs CPU time to die.
        """
        for path, file, most in ((self.unified, "cpu.max", "max"), (self.cpu_v1, "cpu.cfs_quota_us", -1)):
            if path is not None:
                _write(Path(path, file), most)
        until = time.monotonic() + LONGEST
        return all(_kill(path, until) for path in self.paths if path.is_dir())

    async def kill_all(self) -> None:
        """The same until nothing lives in them, while others have their turns: for some seconds at most, for a program may fork as fast."""
        until = time.monotonic() + _KILL_FOR
        while not self.kill() and time.monotonic() < until:  # noqa: ASYNC110  (no event says so)
            await asyncio.sleep(_PAUSE)

    def remove(self) -> None:
        """Remove them when nothing lives in them any more; and, as the last one out, those above, as far as they are of our run."""
        for path in self.paths:
            _remove(path)
            for above in path.parents:
                if path.name.startswith(_RUN_PREFIX):
                    break
                with contextlib.suppress(OSError):
                    above.rmdir()
                if above.name.startswith(_RUN_PREFIX):
                    break


def own_groups() -> Groups:
    """The groups that this process is in, as paths; None where that hierarchy is not mounted."""
    places: dict[str, tuple[str, str]] = {}
    for line in _lines(Path("/proc/self/mountinfo")):
        fields, _, rest = line.partition(" - ")
        root, mount = fields.split(" ")[3:5]
        kind, _device, options = rest.split(" ")[:3]
        if kind == "cgroup2":
            places["unified"] = (mount, root)
        elif kind == "cgroup":
            places |= {f"{controller}_v1": (mount, root) for controller in _CONTROLLERS if controller in options.split(",")}
    found: dict[str, str] = {}
    for line in _lines(Path("/proc/self/cgroup")):
        number, controllers, path = line.split(":", 2)
        names = (
            ["unified"] if number == "0" else [f"{controller}_v1" for controller in _CONTROLLERS if controller in controllers.split(",")]
        )
        for name in filter(places.get, names):
            mount, root = places[name]
            # In a container the mount shows only a part of the hierarchy.
            found[name] = os.path.normpath(mount + "/" + (path.removeprefix(root) if root != "/" else path))
    return Groups(**found)


def _lines(file: Path) -> list[str]:
    # Anybody who may mount something chooses a name, in which only spaces, tabs and line feeds are escaped.
    return os.fsdecode(file.read_bytes()).split("\n")[:-1]


def make_run_groups(run_id: str) -> Groups:
    """Make the groups of a run wherever we may; those below are made by the actors."""
    if os.environ.get(OFF_VARIABLE) == "off":
        return Groups()
    wanted = run_groups(run_id)
    return Groups(*(path if path and _may_make(Path(path)) else None for path in wanted.each))


def run_groups(run_id: str) -> Groups:
    """Where the groups of a run are, if it has any."""
    own = own_groups()
    return Groups(*(path and f"{path}/{_RUN_PREFIX}{run_id}" for path in own.each))


def _may_make(group: Path) -> bool:
    # The process that moves another must be able to write there, too.
    return os.access(group.parent / "cgroup.procs", os.W_OK) and _make(group)


class Cgroup:
    """The groups of one incarnation of a program."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._memory_v1: Path | None = None
        self._unified: Path | None = None
        self._made_v1: list[Path] = []
        self._cpu_quota: int | None = None
        self.held: frozenset[str] = frozenset()
        """Of `memory`, `pids` and `cpu`: whose limits, that were asked for, the kernel holds."""

    def make(self, memory_max: int | None = None, pids_max: int | None = None, cpu_max: float | None = None) -> None:
        """Create the groups, with their limits in bytes, processes and threads, and CPUs; what the kernel does not give us is left out."""
        if self._groups.unified is not None and _make(Path(self._groups.unified)):
            self._unified = Path(self._groups.unified)
        held = {
            "memory": memory_max is not None and self._limit_memory(memory_max),
            "pids": pids_max is not None and self._limit(("pids.max", pids_max), self._groups.pids_v1, ("pids.max", pids_max)),
            "cpu": cpu_max is not None and self._limit_cpu(int(cpu_max * _CPU_PERIOD)),
        }
        self._cpu_quota = int(cpu_max * _CPU_PERIOD) if held["cpu"] and cpu_max is not None else None
        self.held = frozenset(name for name, is_held in held.items() if is_held)

    def _limit_memory(self, most: int) -> bool:
        if self._unified is not None and _write(self._unified / "memory.max", most):
            _write(self._unified / "memory.oom.group", 1)
            _write(self._unified / "memory.swap.max", 0)
            return True
        # A v1 group is worth having for its limit and its count of OOM kills alone.
        self._memory_v1 = self._make_v1(self._groups.memory_v1)
        if self._memory_v1 is None:
            return False
        is_held = _write(self._memory_v1 / "memory.limit_in_bytes", most)
        _write(self._memory_v1 / "memory.memsw.limit_in_bytes", most)
        return is_held

    def limit_again(self) -> None:
        """After a kill, which has lifted the limit on CPU time: for hooks that are still to run."""
        if self._cpu_quota is not None:
            self._limit_cpu(self._cpu_quota)

    def _limit_cpu(self, quota: int) -> bool:
        # The period of a v1 group is the same, unless somebody has changed it.
        return self._limit(("cpu.max", f"{quota} {_CPU_PERIOD}"), self._groups.cpu_v1, ("cpu.cfs_quota_us", quota))

    def _limit(self, unified: tuple[str, int | str], group_v1: str | None, v1: tuple[str, int]) -> bool:
        if self._unified is not None and _write(self._unified / unified[0], unified[1]):
            return True
        made = self._make_v1(group_v1)
        return made is not None and _write(made / v1[0], v1[1])

    def _make_v1(self, group: str | None) -> Path | None:
        if group is None or not _make(Path(group)):
            return None
        self._made_v1.append(Path(group))
        return Path(group)

    def join(self) -> None:
        """Move this process into the groups; call it between fork and exec."""
        for path in (self._unified, *self._made_v1):
            if path is not None:
                _write(path / "cgroup.procs", 0)

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed because memory ran out."""
        counts = [
            _count(path / file, "oom_kill")
            for path, file in ((self._unified, "memory.events"), (self._memory_v1, "memory.oom_control"))
            if path is not None
        ]
        return sum(counts)

    def peak_memory(self) -> int | None:
        """Bytes of memory that its processes held at their peak, all together; None where the kernel does not count it for them alone."""
        files = ((self._unified, "memory.peak"), (self._memory_v1, "memory.max_usage_in_bytes"))
        return next((found for path, file in files if path is not None and (found := _number(path / file)) is not None), None)


def _make(group: Path) -> bool:
    """Make a group and those above it that are of our run."""
    try:
        if not group.parent.is_dir() and not _make(group.parent):
            return False
        # Limits, where the kernel lets us: not below a group that is not the root and has processes of its own.
        for controller in _CONTROLLERS:
            _write(group.parent / "cgroup.subtree_control", f"+{controller}")
        group.mkdir(exist_ok=True)
    except OSError:
        return False
    return True


def _write(file: Path, value: int | str) -> bool:
    try:
        with file.open("wb", buffering=0) as opened:
            opened.write(str(value).encode())
    except OSError:
        return False
    return True


def _count(file: Path, name: str) -> int:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _kill(group: Path, until: float) -> bool:
    if _write(group / "cgroup.kill", 1):
        return True
    # Older than Linux 5.14, or v1.
    pids = _all_processes(group)
    for first in range(0, len(pids), _OPENED_TOGETHER):
        if first and time.monotonic() > until:
            break
        _kill_members(group, pids[first : first + _OPENED_TOGETHER])
    return not pids


def _kill_members(group: Path, pids: list[int]) -> None:
    """SIGKILL those that are in the group once they are held: a process that was listed may have ended, and its pid be another's."""
    held: dict[int, int] = {}
    try:
        for pid in pids:
            with contextlib.suppress(OSError):
                held[pid] = os.pidfd_open(pid)
        for pid in held.keys() & _all_processes(group):
            # One that runs as somebody else, by a set-user-ID program, may be none of ours to signal.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(held[pid], signal.SIGKILL)
    finally:
        for pidfd in held.values():
            os.close(pidfd)


def _all_processes(group: Path) -> list[int]:
    return [*_processes_below(group), *_processes(str(group))]


def _processes_below(group: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for above, name in _groups_below(group):
            yield from _processes(name, above)


def _processes(group: str, above: int | None = None) -> list[int]:
    try:
        descriptor = os.open(f"{group}/cgroup.procs", os.O_RDONLY | os.O_CLOEXEC, dir_fd=above)
        with os.fdopen(descriptor, "rb") as file:
            # 0 stands for a process that is in another pid namespace, and would mean ourselves to kill().
            return [int(pid) for pid in file.read().split() if pid != b"0"]
    except OSError:
        return []


def _remove(group: Path) -> None:
    """Remove a group and those below it, the innermost first; one in which something still dies stays."""
    with contextlib.suppress(OSError):
        for above, name in _groups_below(group):
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=above)
        group.rmdir()


def _groups_below(group: Path) -> Iterator[tuple[int, str]]:
    """Each group below one, after those below itself: a descriptor of the group that it stands in, and its name. Raises OSError.

    A program to which its group belongs makes as many in it as it likes, and deeper than a path can be long, or calls can be nested.
    """
    here = os.open(group, _FOLDER)
    way: list[str] = []
    to_come = [_folders(here)]
    try:
        while to_come[-1] or way:
            if to_come[-1]:
                name = to_come[-1].pop()
                with contextlib.suppress(FileNotFoundError):
                    here = _changed(here, name)
                    way.append(name)
                    to_come.append([])
                    to_come[-1] = _folders(here)
            else:
                here = _changed(here, "..")
                to_come.pop()
                yield here, way.pop()
    finally:
        os.close(here)


def _changed(folder: int, name: str) -> int:
    """A descriptor of another folder, instead of this one. Raises OSError."""
    other = os.open(name, _FOLDER, dir_fd=folder)
    os.close(folder)
    return other


def _folders(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
