"""Which tree is meant, whether that tree runs, and whether a command may touch it: one answer for all commands, from the kernel.

A tree runs when a process holds the lock of its state folder, or listens on its control socket, or is the launcher of the run file by pid,
start time and run token. Any one of the three is enough: the lock file may have been removed, and so may the others.
"""

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from suptree.actors.errors import AlreadyRunning, NotRunning, RunsElsewhere, SuptreeError
from suptree.actors.kernel.peers import is_owner, peer_of
from suptree.actors.kernel.private_files import open_in_folder
from suptree.actors.kernel.process_texts import variable
from suptree.actors.kernel.trusted_folder import trusted_folder

from .paths import TreePaths
from .run_file import Place, Run, mount_namespace, pid_namespace, recorded, start_time

RUN_VARIABLE = "SUPTREE_RUN_ID"
_FLOCK = struct.Struct("hhqqi4x")
_CONNECT_LIMIT = 1.0


@dataclass(frozen=True, slots=True)
class Running:
    """A tree that runs here: `paths.runtime` is where its launcher listens, if it `answers` at all, else where it said so."""

    paths: TreePaths
    pid: int
    started: int
    run_id: str
    answers: bool

    @contextlib.contextmanager
    def held(self) -> Iterator[int]:
        """A pidfd of the launcher. Raises NotRunning when the launcher has ended meanwhile."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            raise NotRunning(f"tree {self.paths.name!r} does not run any more") from None
        try:
            # The pid may be another process's by now; what the descriptor refers to does not change any more.
            if start_time(self.pid) != self.started:
                raise NotRunning(f"tree {self.paths.name!r} does not run any more")
            yield pidfd
        finally:
            os.close(pidfd)


def standing(paths: TreePaths) -> Running | None:
    """The tree as it runs, None when it does not. Raises RunsElsewhere when it runs, but not where this process could reach it.

    Raises SuptreeError when nothing proves that it runs, and this user may not look into its state folder.
    Not for the launcher that holds the lock itself: to look at a lock file and close it gives a process's own lock up (fcntl(2)).
    """
    run = recorded(paths)
    holder = lock_holder(paths)
    listeners: dict[int, TreePaths] = {}
    for folder in (paths.runtime,) if run is None else (paths.runtime, run.runtime):
        there = replace(paths, runtime=folder)
        if (pid := _listener(there)) is not None:
            listeners[pid] = there
    # Its pid may be another process's by now.
    recorded_pid = run.pid if run is not None and run.place == Place.here() and start_time(run.pid) == run.started else None
    candidates = {pid for pid in (holder, *listeners, recorded_pid) if pid is not None}
    if any(_is_out_of_reach(pid) for pid in candidates):
        raise RunsElsewhere(_where(paths, run))
    # The holder of the lock first: a stranger's tree could listen where ours would.
    for pid in sorted(candidates, key=lambda pid: (pid != holder, pid not in listeners)):
        started, token = start_time(pid), run_token(pid)
        is_recorded = run is not None and (run.pid, run.started) == (pid, started)
        by_kernel = pid == holder or pid in listeners
        if run is not None and is_recorded and by_kernel and token is None:
            token = run.run_id  # Another user's environment may not be read.
        if started is None or token is None:
            continue
        if by_kernel or (run is not None and is_recorded and token == run.run_id):
            said = replace(paths, runtime=run.runtime) if run is not None and is_recorded else paths
            return Running(listeners.get(pid, said), pid, started, token, answers=pid in listeners)
    _check_that_it_can_be_entered(paths)
    return None


def _check_that_it_can_be_entered(paths: TreePaths) -> None:
    try:
        paths.lock_file.lstat()
    except PermissionError as error:
        raise SuptreeError(
            f"{paths.state} cannot be entered ({error.strerror}), so it is not known whether tree {paths.name!r} runs:"
            " make the folder your own again (chown, chmod 700)"
        ) from None
    except OSError:
        return


def refuse_if_out_of_reach(tree: Running) -> None:
    """Raises RunsElsewhere where the socket of a tree that runs leads nowhere because its launcher sees other mounts than this process."""
    with contextlib.suppress(OSError):
        if not tree.answers and mount_namespace(tree.pid) != mount_namespace():
            raise RunsElsewhere(
                f"tree {tree.paths.name!r} runs (launcher pid {tree.pid}), but in another mount namespace than this command"
                f" (PrivateTmp=yes, a container), so {tree.paths.control_socket} cannot be reached: give the command there"
                f" (nsenter -t {tree.pid} -m), or start the tree with an XDG_RUNTIME_DIR that both see (RuntimeDirectory= of systemd)"
            )


def refuse_if_running(paths: TreePaths) -> None:
    """Raises AlreadyRunning, and what `standing` raises."""
    if (there := standing(paths)) is not None:
        raise already_running(paths.name, there.pid)


def lock_holder(paths: TreePaths) -> int | None:
    """The process that holds the lock, None when the lock is free; 0 or less when that process is out of our sight."""
    try:
        descriptor = open_in_folder(paths.lock_file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else int(pid)


def run_token(pid: int) -> str | None:
    """The run token in the environment that a process was started with; None when there is none, or it may not be read."""
    with contextlib.suppress(OSError):
        if (value := variable(pid, RUN_VARIABLE)) is not None:
            return os.fsdecode(value)
    return None


def _listener(paths: TreePaths) -> int | None:
    """The process that listens on the control socket (unix(7), SO_PEERCRED), 0 when it is out of our sight; None when there is none.

    Where others could put something into the folder, what is there may be a link to the socket of another tree of ours: it is none.
    """
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe,
        contextlib.suppress(OSError),
        trusted_folder(paths.runtime, own=True),
    ):
        probe.settimeout(_CONNECT_LIMIT)
        probe.connect(str(paths.control_socket))
        peer = peer_of(probe)
        if is_owner(peer) and (peer.pid == 0 or start_time(peer.pid) is not None):
            return peer.pid
    return None


def _is_out_of_reach(pid: int) -> bool:
    if pid <= 0:
        return True
    with contextlib.suppress(OSError):
        return pid_namespace(pid) != pid_namespace()
    return False


def _where(paths: TreePaths, run: Run | None) -> str:
    here = Place.here()
    if run is None or run.place == here:
        there = f"in another pid namespace than this one ({here.pid_namespace} on host {here.host!r})"
    else:
        there = (
            f"on host {run.place.host!r} in pid namespace {run.place.pid_namespace}, and this is host {here.host!r},"
            f" namespace {here.pid_namespace}"
        )
    return (
        f"tree {paths.name!r} of {paths.state} runs {there}: give the command there (in that container or on that host),"
        " or set SUPTREE_HOME to another folder here"
    )


def already_running(name: str, pid: int | None) -> AlreadyRunning:
    """What to raise when a tree is to be started that runs."""
    who = f" (launcher pid {pid})" if pid else ""
    return AlreadyRunning(f"tree {name!r} runs already{who}: see `suptree status`, or end it with `suptree down`")
