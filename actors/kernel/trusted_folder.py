"""Whether a folder, and each folder above, is out of the reach of less trusted users (as sshd and systemd-tmpfiles check a path)."""

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from .peers import unmapped_users

_MOST_LINKS = 40
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderNotTrusted(PermissionError):
    """Somebody whom we trust less than ourselves could put something else there; the text says which folder, and why."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EPERM, why)

    def __str__(self) -> str:
        return str(self.strerror)


@contextmanager
def trusted_folder(path: Path, *, make: bool = False, own: bool = False) -> Iterator[int]:
    """A descriptor of a folder, for calls that take a `dir_fd`; no link on the way is followed that a less trusted user could have made.

    Trusted are this user, root, and the owner of `/`. Everything on the way belongs to one of them, and others can replace nothing of it;
    with `own` the last folder is this user's, and nobody else may make a file there. `make` makes what is missing, with mode 0700. In a
    user namespace (user_namespaces(7)) all users that are not mapped look like one, which may be the owner of `/`, or this user: in a
    folder that others may write, nothing of that one is trusted.

    Raises:
        FolderNotTrusted: somebody else could change where the path leads.
        OSError: it does not exist, or is no folder.
    """
    descriptor = _walk(path.absolute(), make=make)
    try:
        if own:
            _check_own(os.fstat(descriptor), path)
        yield descriptor
    finally:
        os.close(descriptor)


def make_own(folder: Path, mode: int = 0o700) -> None:
    """Make a folder for this user alone, or with another mode; one of this user's that is there gets that mode.

    Those above it that are missing are made too, with mode 0700. Raises what `trusted_folder` raises, also where the folder itself is
    another user's, or a link.
    """
    with trusted_folder(folder.parent, make=True) as parent:
        with suppress(FileExistsError):
            _make(folder.name, parent)
        found = os.lstat(folder.name, dir_fd=parent)
        if found.st_uid not in _trusted_in(os.fstat(parent)) & {os.geteuid()}:
            raise FolderNotTrusted(f"{folder} belongs to {user_name(found.st_uid)}")
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        os.chmod(folder.name, mode, dir_fd=parent)


def who_could_change(path: Path) -> str | None:
    """Why less trusted users could change a file, or put something into a folder, in words; None where they cannot, or nothing is there.

    In a sticky folder (such as /tmp) others may put something too, and so may take a name that somebody will look for.
    """
    path = path.resolve()
    try:
        with trusted_folder(path.parent) as parent:
            found, above = os.stat(path.name or ".", dir_fd=parent), os.fstat(parent)
        _check_owner(found, path, _trusted_in(above))
    except FolderNotTrusted as refused:
        return str(refused)
    except OSError:
        return None
    return f"others may write to {path} (chmod go-w it)" if _others_write(found, path) else None


def _walk(path: Path, *, make: bool) -> int:
    to_go, where, links = list(path.parts[1:]), Path("/"), 0
    descriptor = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while to_go:
            name = to_go.pop(0)
            trusted = _trusted_in(os.fstat(descriptor))
            following = _look(name, descriptor, make=make)
            found, here = os.fstat(following), where / name
            if not stat.S_ISLNK(found.st_mode):
                os.close(descriptor)
                descriptor, where = following, here
                _check_folder(found, where, trusted)
                continue
            os.close(following)
            links += 1
            _check_link(found, here, trusted, links)
            target = Path(os.readlink(name, dir_fd=descriptor))
            if target.is_absolute():
                os.close(descriptor)
                descriptor, where = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), Path("/")
            to_go[:0] = [part for part in target.parts if part != "/"]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _trusted_in(folder: os.stat_result) -> set[int]:
    """The users whose files in a folder are trusted."""
    trusted = {0, os.geteuid(), Path("/").stat().st_uid}
    return trusted - unmapped_users() if folder.st_mode & stat.S_IWOTH else trusted


def _look(name: str, folder: int, *, make: bool) -> int:
    try:
        return os.open(name, _LOOK, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
        with suppress(FileExistsError):  # another process of ours makes it too; whose it is will be looked at
            _make(name, folder)
        return os.open(name, _LOOK, dir_fd=folder)


def _make(name: str, folder: int) -> None:
    os.mkdir(name, 0o700, dir_fd=folder)
    # Whatever the umask is. It is ours, where nobody else can put something in its place.
    os.chmod(name, 0o700, dir_fd=folder)


def _check_link(found: os.stat_result, where: Path, trusted: set[int], followed: int) -> None:
    _check_owner(found, where, trusted)
    if followed > _MOST_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(where))


def _check_owner(found: os.stat_result, where: Path, trusted: set[int]) -> None:
    if found.st_uid not in trusted:
        raise FolderNotTrusted(f"{where} belongs to {user_name(found.st_uid)}")


def _check_folder(found: os.stat_result, where: Path, trusted: set[int]) -> None:
    _check_owner(found, where, trusted)
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(where))
    # In a sticky folder others may make files, and touch none that is not theirs.
    if not found.st_mode & stat.S_ISVTX and _others_write(found, where):
        raise FolderNotTrusted(
            f"others than {user_name(found.st_uid)} may put something in the place of what is in {where} (chmod go-w it)"
        )


def _check_own(found: os.stat_result, where: Path) -> None:
    if found.st_uid != os.geteuid():
        raise FolderNotTrusted(f"{where} belongs to {user_name(found.st_uid)}")
    if _others_write(found, where):
        raise FolderNotTrusted(f"every user may replace what is in {where} (chmod go-w it)")


def _others_write(found: os.stat_result, where: Path) -> bool:
    writable = found.st_mode & _WRITABLE_BY_OTHERS
    if not writable:
        return False
    return bool(writable & stat.S_IWOTH) or _has_access_list(where) or not is_private_group(found.st_gid, found.st_uid)


def _has_access_list(where: Path) -> bool:
    """Whether more users are named than one user and one group (acl(5)): the group's bits of the mode then say what any of these may do."""
    with suppress(OSError):
        return bool(os.getxattr(where, "system.posix_acl_access", follow_symlinks=False))
    return False


@cache
def is_private_group(group_id: int, user_id: int) -> bool:
    """Whether a group has only that user, as where each user has a group of the same name: there a umask of 002 is usual.

    Asked for once: the answer may come from another machine (LDAP), for which no actor should wait; the launcher has asked before it forks.
    """
    try:
        group, user = grp.getgrgid(group_id), pwd.getpwuid(user_id)
    except KeyError:
        return False
    if group_id == 0:
        # Root is trusted, also with a file of another user's.
        user = pwd.getpwuid(0)
    names = {account.pw_name for account in pwd.getpwall() if account.pw_gid == group_id and account.pw_uid != user.pw_uid}
    return group.gr_name == user.pw_name and group.gr_gid == user.pw_gid and not names and set(group.gr_mem) <= {user.pw_name}


def user_name(user_id: int) -> str:
    """A user as people name one."""
    if user_id in unmapped_users():
        return "a user that this user namespace does not map"
    try:
        return f"user {pwd.getpwuid(user_id).pw_name}"
    except KeyError:
        return f"user {user_id}"
