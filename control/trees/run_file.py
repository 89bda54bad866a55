"""The run file: which process runs a tree, or ran the tree last, and where that process is. A hint; `standing` asks the kernel."""

import contextlib
import json
import os
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from suptree.actors.kernel.private_files import open_to_read, write_private

from .paths import CONTROL_SOCKET, TreePaths

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
            found = json.loads(file.read())
        place = Place(**found["place"])
        folder = folder_identity(paths.state)
        begin = (paths.name, found["run_id"], found["pid"], found["started"], place, Path(found["runtime"]), folder)
        run = Run(*begin, _left(found["left"]), found.get("ended"))
        written_for = tuple(found["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    numbers, texts = (run.pid, run.started), (run.run_id, place.host, place.boot)
    if not all(type(number) is int and number > 0 for number in numbers) or not all(isinstance(text, str) and text for text in texts):
        return None
    return run if written_for == folder and run.runtime.is_absolute() else None


def begun(pids: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """The processes among `pids` that live, each with its start time."""
    return tuple((pid, started) for pid in pids if (started := start_time(pid)) is not None)


def _left(found: object) -> tuple[tuple[int, int], ...]:
    """Raises ValueError, TypeError for what no launcher writes."""
    if not isinstance(found, list):
        raise TypeError("no list")
    return tuple((int(pid), int(started)) for pid, started in found)


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
        state, *rest = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if state in _ENDED else int(rest[18])
    return None
