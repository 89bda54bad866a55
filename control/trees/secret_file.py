"""A secret of a tree in a file of its owner alone: a link, or a file that others can read, is none."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from suptree.actors.errors import SuptreeError
from suptree.actors.kernel.private_files import open_in_folder, write_secret
from suptree.actors.kernel.trusted_folder import FolderNotTrusted

_MOST_BYTES = 1024


@dataclass(frozen=True, slots=True)
class SecretFile:
    """`remedy` says in every refusal what to do about it."""

    path: Path
    remedy: str

    def read(self) -> bytes:
        """What is in it. Raises SuptreeError when others may know it, or have made it."""
        try:
            descriptor = open_in_folder(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                found, content = os.fstat(descriptor), os.read(descriptor, _MOST_BYTES)
            finally:
                os.close(descriptor)
        except FolderNotTrusted as error:
            raise self.refused(f"can be read by others ({error})") from error
        except OSError as error:
            raise self.refused("cannot be read") from error
        if not stat.S_ISREG(found.st_mode):
            raise self.refused("is no regular file")
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise self.refused("can be read by others")
        return content

    def ensure(self, content: bytes) -> None:
        """Make it, unless it is there; of several processes that try at the same time, one does."""
        if not os.path.lexists(self.path):
            self._write(content, only_if_missing=True)

    def replace(self, content: bytes) -> None:
        """Put another secret in its place. Raises SuptreeError when it cannot be written."""
        self._write(content)

    def refused(self, fault: str) -> SuptreeError:
        """The error to raise when the content of the file is no such secret."""
        return SuptreeError(f"{self.path} {fault}: {self.remedy}")

    def _write(self, content: bytes, *, only_if_missing: bool = False) -> None:
        try:
            write_secret(self.path, content, only_if_missing=only_if_missing)
        except FileExistsError:
            return
        except OSError as error:
            raise SuptreeError(f"{self.path} cannot be written: {error.strerror}") from None
