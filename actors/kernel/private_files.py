"""Files and folders that are this user's alone, whatever the umask is."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_OWN_DESCRIPTORS = Path("/proc/self/fd")


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


def open_in_folder(path: Path, flags: int, *, devices: bool = False) -> int:
    """A descriptor of a file in a folder of ours, without following a link; with `devices` one of ours to a device is. Raises OSError.

    The file and its folder must be ours (or root's): what another user has put there is neither read nor changed.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_owner(os.fstat(folder), path.parent)
        try:
            descriptor = os.open(path.name, flags | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        except OSError as error:
            if error.errno != errno.ELOOP or not devices or not _is_link_to_device(path.name, folder):
                raise
            return os.open(path.name, flags & ~os.O_CREAT, dir_fd=folder)
        try:
            _check_owner(os.fstat(descriptor), path)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor
    finally:
        os.close(folder)


def _is_link_to_device(name: str, folder: int) -> bool:
    _check_owner(os.lstat(name, dir_fd=folder), Path(name))
    return stat.S_ISCHR(os.stat(name, dir_fd=folder).st_mode)


def _check_owner(found: os.stat_result, path: Path) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise PermissionError(errno.EPERM, "it belongs to another user", str(path))


def write_private(path: Path, content: bytes) -> None:
    """Put a whole file of mode 0600 in the place of another: a reader sees the old content or the new. Raises OSError."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = open_in_folder(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(content)
    draft.replace(path)


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, with mode 0700; one of ours that was there gets it. Raises OSError."""
    missing = [folder, *(above for above in folder.parents if not above.exists())]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_uid != os.geteuid():
                # Somebody else has made it, in a folder such as /tmp, where ours was removed.
                raise PermissionError(errno.EPERM, "it belongs to another user", str(each))
            os.fchmod(descriptor, 0o700)
        finally:
            os.close(descriptor)


def make_shared(folder: Path) -> None:
    """Make a folder that others may pass through and not look into, in one that is there. Raises OSError, also when it is not ours."""
    folder.mkdir(mode=0o711, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise FileExistsError(errno.EEXIST, "something else is there", str(folder))
    folder.chmod(0o711)


def tighten(folder: Path, *, but: Path | None = None) -> None:
    """Take from everything of ours below a folder, but from one file, what others were allowed."""
    for above, folders, files in os.walk(folder):
        for names, allowed in ((folders, 0o700), (files, 0o600)):
            for path in (Path(above, name) for name in names):
                found = path.lstat()
                mode = found.st_mode
                if path != but and mode & 0o777 & ~allowed and not stat.S_ISLNK(mode) and found.st_uid == os.geteuid():
                    path.chmod(mode & allowed)
