"""The run file: which process runs a tree, or ran the tree last, and where that process is. A hint; `standing` asks the kernel."""

import contextlib
import json
import os
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from suptree.actors.events.json_values import boolean, each, or_none, read_json, record, text, whole
from suptree.actors.kernel.linux import stat_fields
from suptree.actors.kernel.private_files import open_to_read, write_private

from .paths import CONTROL_SOCKET, TreePaths

_READ_AT_MOST = 1024 * 1024
_ENDED = (b"Z", b"X", b"x")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pid means something: one host, since one boot, in one pid namespace (its inode number)."""

    host: str
    boot: str
    pid_namespace: int

    @classmethod
    def here(cls) -> Self:
        """The place of this process."""
        return cls(socket.gethostname(), Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(), pid_namespace())


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a tree: its launcher is `pid`, which began at `started` (clock ticks after boot), and listens in `runtime`.

    `folder` is the identity of the state folder (device, inode): a copy of the folder is another tree. `left` are the processes (pid, start
    time) that the launcher could not end. `ended` is set when the launcher ended in order; None of a run of 0.1.0, which did not note that.
    """

    tree: str
    run_id: str
    pid: int
    started: int
    place: Place
    runtime: Path
    folder: tuple[int, int]
    left: tuple[tuple[int, int], ...] = ()
    ended: bool | None = False

    @classmethod
    def of_this_process(cls, paths: TreePaths, run_id: str) -> Self:
        """The run whose launcher this process is."""
        return cls(paths.name, run_id, os.getpid(), start_time(os.getpid()) or 0, Place.here(), paths.runtime, folder_identity(paths.state))

    def write(self, paths: TreePaths) -> None:
        """Write it down. Raises OSError."""
        write_private(paths.run_file, self.to_json())

    def note_end(self, paths: TreePaths) -> None:
        """Write down that its launcher has come to its end, where that can be written."""
        with contextlib.suppress(OSError):
            replace(self, ended=True).write(paths)

    def to_json(self) -> bytes:
        """The run file's content."""
        return json.dumps({**asdict(self), "runtime": str(self.runtime), "socket": str(self.runtime / CONTROL_SOCKET)}).encode() + b"\n"


def recorded(paths: TreePaths) -> Run | None:
    """What the run file says; None when it says nothing of use, or was written for another folder than the one in which it is.

    The folder may have been renamed since.
    """
    try:
        with open_to_read(paths.run_file) as file:
            found = _RUN(read_json(file.read(_READ_AT_MOST)))
        place = Place(**{name: found["place"][name] for name in ("host", "boot", "pid_namespace")})
        folder = folder_identity(paths.state)
        begin = (paths.name, found["run_id"], found["pid"], found["started"], place, Path(found["runtime"]), folder)
        run = Run(*begin, tuple((pid, started) for pid, started in found["left"]), found.get("ended"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return run if tuple(found["folder"]) == folder and run.runtime.is_absolute() else None


def _positive(value: Any) -> int:
    if whole(value) <= 0:
        raise ValueError(f"{value} is not above 0")
    return int(value)


def _name(value: Any) -> str:
    """A text that can be, or be in, the name of a file."""
    if not text(value) or b"\0" in os.fsencode(value):
        raise ValueError("it is no name")
    return str(value)


def _token(value: Any) -> str:
    """A run token: what carries that is killed, and what is in the control group of that name."""
    if not text(value).isalnum():
        raise ValueError("it is no run token")
    return str(value)


_RUN = record(
    {
        "run_id": _token,
        "pid": _positive,
        "started": _positive,
        "place": record({"host": _name, "boot": _name, "pid_namespace": whole}),
        "runtime": _name,
        "folder": each(whole),
        "left": each(each(whole)),
    },
    {"ended": or_none(boolean)},
)


def begun(pids: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """The processes among `pids` that live, each with its start time."""
    return tuple((pid, started) for pid in pids if (started := start_time(pid)) is not None)


def folder_identity(folder: Path) -> tuple[int, int]:
    """What stays when a folder is renamed, and differs in a copy of the folder: device and inode. Raises OSError."""
    found = folder.stat()
    return found.st_dev, found.st_ino


def pid_namespace(pid: int | str = "self") -> int:
    """The inode number of the pid namespace of a process, by default of this one. Raises OSError."""
    return os.stat(f"/proc/{pid}/ns/pid").st_ino  # noqa: PTH116  (a link of the kernel's)


def mount_namespace(pid: int | str = "self") -> int:
    """The inode number of the mount namespace of a process, by default of this one. Raises OSError."""
    return os.stat(f"/proc/{pid}/ns/mnt").st_ino  # noqa: PTH116  (a link of the kernel's)


def start_time(pid: int) -> int | None:
    """When a process began, in clock ticks after boot (proc_pid_stat(5), field 22); None when it has ended, reaped or not."""
    with contextlib.suppress(OSError):
        fields = stat_fields(f"/proc/{pid}")
        return None if fields[0] in _ENDED else int(fields[19])
    return None
