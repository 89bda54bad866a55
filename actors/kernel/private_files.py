"""Files and folders that are this user's alone, whatever the umask is.

All of them are reached through the descriptor of their folder, on a way that no less trusted user can change (`trusted_folder`): what a
cleaner of /tmp removed, somebody else may have made again, with links in it.
"""

import errno
import os
import secrets
import shutil
import socket
import stat
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO

from .trusted_folder import FolderNotTrusted, make_own, trusted_folder, user_name

_OWN_DESCRIPTORS = Path("/proc/self/fd")
_NAMELESS = os.O_RDWR | os.O_EXCL | os.O_CLOEXEC
# What open(2) says where the file system has no such files.
_NO_TMPFILE = (errno.EISDIR, errno.EOPNOTSUPP)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


def open_private(path: Path) -> int:
    """A descriptor that appends to a file, and may read it; the file is made when there is none, and has mode 0600 whatever it had.

    A device, such as /dev/null behind a link of ours, is left as it is; no other link is followed. Raises OSError, also where something
    stands that could hold a writer up, and where the file or its folder is another user's.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    descriptor = open_in_folder(path, flags, devices=True)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            os.fchmod(descriptor, 0o600)
        elif not stat.S_ISCHR(mode):
            raise FileExistsError(errno.EEXIST, "it is no regular file", str(path))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def open_to_read(path: Path, *, write: bool = False) -> BinaryIO:
    """A regular file, to be read (and with `write` changed in place). Raises OSError, also for a FIFO, for which others would wait."""
    flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    # What this process holds open it may open again; the kernel shows it as a link.
    descriptor = os.open(path, flags) if path.parent == _OWN_DESCRIPTORS else open_in_folder(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileExistsError(errno.EEXIST, "it is no regular file", str(path))
    return os.fdopen(descriptor, "r+b" if write else "rb", buffering=0)


def open_nameless(folder: Path) -> BinaryIO:
    """A new file in a folder of ours that has no name, so that nothing is left of it, however its writer ends. Raises OSError."""
    with trusted_folder(folder) as descriptor:
        try:
            made = os.open(".", os.O_TMPFILE | _NAMELESS, 0o600, dir_fd=descriptor)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
            name = f".{secrets.token_hex(8)}"
            made = os.open(name, os.O_CREAT | os.O_NOFOLLOW | _NAMELESS, 0o600, dir_fd=descriptor)
            os.unlink(name, dir_fd=descriptor)
    return os.fdopen(made, "r+b", buffering=0)


def open_in_folder(path: Path, flags: int, *, devices: bool = False) -> int:
    """A descriptor of a file in a folder of ours, without following a link; with `devices` one of ours to a device is. Raises OSError.

    The file must be ours (or root's): what another user has put there is neither read nor changed.
    """
    with folder_of(path) as folder:
        try:
            return _open(path, flags, folder)
        except OSError as error:
            if error.errno != errno.ELOOP or not devices or not _is_link_to_device(path, folder):
                raise
            return os.open(path.name, flags & ~os.O_CREAT, dir_fd=folder)


def folder_of(path: Path) -> AbstractContextManager[int]:
    """The descriptor of the folder of a file of ours. Raises OSError, also where others could lead elsewhere, or replace the file."""
    return trusted_folder(path.parent)


def _open(path: Path, flags: int, folder: int) -> int:
    descriptor = os.open(path.name, flags | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    try:
        _check_owner(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _is_link_to_device(path: Path, folder: int) -> bool:
    _check_owner(os.lstat(path.name, dir_fd=folder), path)
    return stat.S_ISCHR(os.stat(path.name, dir_fd=folder).st_mode)


def _check_owner(found: os.stat_result, path: Path) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise FolderNotTrusted(f"{path} belongs to {user_name(found.st_uid)}")


def write_private(path: Path, content: bytes, draft: Path | None = None) -> None:
    """Put a whole file of mode 0600 in the place of another: a reader sees the old content or the new. Raises OSError.

    `draft` is beside it, and is what the file is called until it is whole.
    """
    with folder_of(path) as folder:
        name = _write(draft or path.with_name(f".{path.name}.new"), content, folder)
        os.replace(name, path.name, src_dir_fd=folder, dst_dir_fd=folder)


def write_secret(path: Path, content: bytes, *, only_if_missing: bool = False) -> None:
    """The same, while others may do the same; with `only_if_missing` one of them succeeds. Raises OSError, such as FileExistsError."""
    with folder_of(path) as folder:
        name = _write(path.with_name(f".{path.name}-{secrets.token_hex(4)}"), content, folder)
        try:
            put = os.link if only_if_missing else os.replace
            put(name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)


def _write(path: Path, content: bytes, folder: int) -> str:
    descriptor = _open(path, _NEW, folder)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(content)
    return path.name


def rename_private(path: Path, target: Path) -> None:
    """Give a file another name in its folder, and remove what had that name. Raises OSError."""
    with folder_of(path) as folder:
        os.replace(path.name, target.name, src_dir_fd=folder, dst_dir_fd=folder)


def remove_private(path: Path) -> None:
    """Remove a file, or a socket, if there is one. Raises OSError."""
    with suppress(FileNotFoundError), folder_of(path) as folder:
        os.unlink(path.name, dir_fd=folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder of ours and all that is in it, as far as that is possible; what another user has put in its place stays."""
    with suppress(OSError), trusted_folder(folder.parent) as above:
        if os.lstat(folder.name, dir_fd=above).st_uid == os.geteuid():
            shutil.rmtree(folder.name, ignore_errors=True, dir_fd=above)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder of ours, if nothing is in it."""
    with suppress(OSError), trusted_folder(folder.parent) as above:
        if os.lstat(folder.name, dir_fd=above).st_uid == os.geteuid():
            os.rmdir(folder.name, dir_fd=above)


def bind_private(unbound: socket.socket, path: Path, *, owner: int | None = None) -> None:
    """Give a Unix socket a name that is this user's alone from its first moment on, in place of what has that name. Raises OSError.

    With `owner` it is then that user's.
    """
    with folder_of(path) as folder:
        with suppress(FileNotFoundError):
            os.unlink(path.name, dir_fd=folder)
        before = os.umask(0o177)
        try:
            unbound.bind(str(path))
        finally:
            os.umask(before)
        # There is no bind(2) in a folder that is held: this fails where the way to the folder has changed meanwhile.
        found = os.lstat(path.name, dir_fd=folder)
        if owner is not None and stat.S_ISSOCK(found.st_mode):
            os.chown(path.name, owner, -1, dir_fd=folder, follow_symlinks=False)


def make_shared(folder: Path) -> None:
    """Make a folder that others may pass through and not look into, in one that is there. Raises OSError, also when it is not ours."""
    make_own(folder, 0o711)


def tighten(folder: Path, *, but: Path | None = None) -> None:
    """Take from everything of ours below a folder, but from one file, what others were allowed."""
    with trusted_folder(folder) as top:
        for above, folders, files, here in os.fwalk(".", dir_fd=top):
            for names, allowed in ((folders, 0o700), (files, 0o600)):
                for name in names:
                    found = os.lstat(name, dir_fd=here)
                    mode = found.st_mode
                    is_ours = found.st_uid == os.geteuid() and not stat.S_ISLNK(mode)
                    if is_ours and mode & 0o777 & ~allowed and folder / above / name != but:
                        os.chmod(name, mode & allowed, dir_fd=here)
