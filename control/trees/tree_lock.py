"""The lock of a tree, which its launcher holds for as long as it lives, however it ends."""

import errno
import fcntl
import os
from types import TracebackType
from typing import Self

from suptree.actors.errors import SuptreeError
from suptree.actors.kernel.private_files import open_private

from .paths import TreePaths
from .standing import already_running, lock_holder

_HELD = (errno.EACCES, errno.EAGAIN)


class TreeLock:
    """A POSIX lock (fcntl(2)): the actors do not inherit it, and the kernel gives it up with this process; use it with `with`.

    The process that holds it must open the lock file in no other way: to close any descriptor of the file would give the lock up.
    """

    def __init__(self, paths: TreePaths) -> None:
        self._paths = paths
        self._descriptors: list[int] = []

    def __enter__(self) -> Self:
        while not self.is_in_place():
            self.take()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)

    def is_in_place(self) -> bool:
        """Whether what is locked is what others find under the name of the lock file."""
        try:
            found = self._paths.lock_file.lstat()
        except OSError:
            return False
        return bool(self._descriptors) and os.path.samestat(found, os.fstat(self._descriptors[-1]))

    def take(self) -> None:
        """Lock the file that is there now, which is made when there is none; what was locked before stays locked.

        Raises AlreadyRunning, and SuptreeError when the file system offers no locks.
        """
        path = self._paths.lock_file
        try:
            descriptor = open_private(path)
        except OSError as error:
            raise SuptreeError(f"{path} cannot be opened ({error.strerror}): remove it, or set SUPTREE_HOME to another folder") from None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _HELD:
                raise already_running(self._paths.name, lock_holder(self._paths)) from None
            raise SuptreeError(
                f"{path} cannot be locked ({errno.errorcode.get(error.errno or 0, error.errno)}: {error.strerror}), as a tree needs it:"
                " set SUPTREE_HOME to a folder on a local disk"
            ) from None
        self._descriptors.append(descriptor)
