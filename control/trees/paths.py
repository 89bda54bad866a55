"""Where a tree keeps its files and its sockets."""

import contextlib
import errno
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from suptree.actors.errors import SuptreeError
from suptree.actors.kernel.private_files import remove_folder, remove_if_empty
from suptree.actors.kernel.trusted_folder import FolderNotTrusted, make_own, trusted_folder

_RUN_FILE = "run.json"
CONTROL_SOCKET = "control.sock"
_SOCKET_PATH_BYTES = 107
_FULL = (errno.ENOSPC, errno.EDQUOT)


def home() -> Path:
    """`$SUPTREE_HOME`, or the platform's state directory (XDG Base Directory Specification). Raises SuptreeError when there is none."""
    if given := os.environ.get("SUPTREE_HOME"):
        try:
            return Path(given).absolute()
        except FileNotFoundError:
            raise SuptreeError(f"SUPTREE_HOME is {given!r}, and that folder is gone: set SUPTREE_HOME to an absolute path") from None
    if state := _xdg_folder("XDG_STATE_HOME"):
        return state / "suptree"
    try:
        return Path.home() / ".local" / "state" / "suptree"
    except RuntimeError:
        raise SuptreeError(
            f"user {os.getuid()} has no home folder (no HOME, no passwd entry): set SUPTREE_HOME to a folder for the files of trees"
        ) from None


def _xdg_folder(variable: str) -> Path | None:
    """What an XDG variable names; a relative path is to be ignored, says the XDG Base Directory Specification."""
    folder = Path(os.environ.get(variable) or ".")
    return folder if folder.is_absolute() else None


def _runtime_root() -> Path:
    """The runtime directory; where the platform has none, a folder of this user's under /tmp."""
    return given / "suptree" if (given := _xdg_folder("XDG_RUNTIME_DIR")) else fallback_root()


def fallback_root() -> Path:
    """A folder of this user's under /tmp; who made it is checked where it is made and used."""
    return Path(f"/tmp/suptree-{os.getuid()}")  # noqa: S108


@dataclass(frozen=True, slots=True)
class TreePaths:
    """The folders of one tree: `state` stays, `runtime` holds the sockets of the run.

    `shared` holds the sockets of agents that run as other users, who cannot enter `runtime`; only a tree that runs as root ever has it.
    """

    name: str
    state: Path
    runtime: Path

    @classmethod
    def of(cls, name: str, base: Path | None = None) -> "TreePaths":
        """The folders of the tree of that name, under the present home unless another is given."""
        base = base or home()
        # The path of a socket must be short: short names, apart for each home.
        key = hashlib.sha256(f"{base}\0{name}".encode()).hexdigest()[:16]
        return cls(name, base / "trees" / name, _runtime_root() / key)

    def make(self) -> None:
        """Create both folders, for this user alone. Raises SuptreeError when there can be no such folder.

        What leads to them, and they themselves, must be out of everybody else's reach: with an environment of somebody else (`sudo -E`)
        root would write where that user may have put links, and talk to a socket that is that user's.
        """
        if len(os.fsencode(self.control_socket)) > _SOCKET_PATH_BYTES:
            raise SuptreeError(
                f"{self.control_socket} is too long for a socket ({_SOCKET_PATH_BYTES} bytes): set a shorter XDG_RUNTIME_DIR"
            )
        for folder, variable in ((self.state, "SUPTREE_HOME"), (self.runtime, "XDG_RUNTIME_DIR")):
            try:
                with trusted_folder(folder.parents[1], make=True, own=variable == "SUPTREE_HOME"):
                    for each in (folder.parent, folder):
                        make_own(each)
            except FolderNotTrusted as refused:
                raise SuptreeError(f"{folder} is no safe place: {refused}; set {variable} to a folder of your own") from None
            except OSError as error:
                if error.errno in _FULL:
                    raise SuptreeError(f"{folder} cannot be made: {full_disk(folder, error)}") from None
                raise SuptreeError(f"{folder} cannot be made ({error.strerror}): set {variable} to a folder of your own") from None
        if (strange := _strange_in(self.state)) is not None:
            raise SuptreeError(f"{strange} was put there by somebody else: look at it, and remove it")

    def remove(self) -> None:
        """Remove what the tree has kept, and the folders around it if nothing else is in them."""
        remove_folder(self.state)
        for folder in (self.state.parent, self.state.parents[1]):
            remove_if_empty(folder)

    @property
    def shared(self) -> Path:
        """Where other users may look, but see nothing."""
        return Path("/run/suptree") / self.runtime.name

    @property
    def control_socket(self) -> Path:
        """The socket of the control API."""
        return self.runtime / CONTROL_SOCKET

    @property
    def run_file(self) -> Path:
        """Who runs the tree now, or ran it last."""
        return self.state / _RUN_FILE

    @property
    def token_file(self) -> Path:
        """What opens the control API on TCP."""
        return self.state / "token"

    @property
    def lock_file(self) -> Path:
        """Locked by the launcher for as long as it lives."""
        return self.state / "lock"

    @property
    def launcher_log(self) -> Path:
        """What the launcher and the actors log, as JSON lines."""
        return self.state / "launcher.log"


def full_disk(folder: Path, error: OSError) -> str:
    """What is wrong with the disk of a folder, in words for people: where it is mounted, and how much room it has."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    mount = next(each for each in (there, *there.parents) if each.is_mount())
    found = os.statvfs(there)
    room = f"{found.f_bavail * found.f_frsize} bytes and {found.f_favail} files"
    return f"{error.strerror}; the disk at {mount} has room for {room}: make more there"


def start_failed(paths: TreePaths, error: OSError) -> str:
    """Why a tree cannot start when the system refused something to its launcher, in one line."""
    what = f"tree {paths.name!r} cannot start: {error.filename or paths.state}"
    return f"{what}: {full_disk(paths.state, error)}" if error.errno in _FULL else f"{what}: {error.strerror or error}"


def _strange_in(folder: Path) -> Path | None:
    """Something below a folder that is not this user's: made while the folder was open to others."""
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):
                if (path := Path(above, name)).lstat().st_uid != os.geteuid():
                    return path
    return None


def known_trees() -> list[TreePaths]:
    """Every tree that has ever run under the present home; a folder that this user may not enter counts as one: `standing` says so.

    Raises SuptreeError where others could put something there, or it cannot be read: with the environment of
    somebody else (`sudo -E`) root would look up there what to end.
    """
    folder = home() / "trees"
    try:
        with trusted_folder(folder, own=True):
            pass
    except FolderNotTrusted as refused:
        raise SuptreeError(f"{folder} is no safe place: {refused}; set SUPTREE_HOME to a folder of your own") from None
    except OSError:
        pass
    try:
        return [TreePaths.of(each.name) for each in sorted(folder.iterdir()) if _may_hold_a_tree(each)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SuptreeError(f"{folder} cannot be read ({error.strerror}): set SUPTREE_HOME to a folder of your own") from None


def _may_hold_a_tree(folder: Path) -> bool:
    try:
        (folder / _RUN_FILE).stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True
