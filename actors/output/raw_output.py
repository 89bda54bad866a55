"""Taking secrets out of what was written to a log past us.

A native agent's C code and child processes write straight to its log: so nothing that they wrote is lost, however its actor ends.
What is secret in that is overwritten in place, byte for byte, as soon as it is seen: nothing moves, so others may write and read meanwhile.
"""

import os
from pathlib import Path

from ..kernel.private_files import open_to_read
from .redaction import Redactor

_BLOCK = 1024 * 1024
_AT_THE_END = 4 * 1024 * 1024


class RawOutput:
    """One file, looked at from `position` on, and each time from where the last look ended. Raises OSError where there is none."""

    def __init__(self, path: Path, redactor: Redactor, position: int) -> None:
        # Not the descriptor that the output is written to: that one appends, so it writes to the end whatever the offset.
        self._file = open_to_read(path, write=True)
        self._redactor = redactor
        self._position = position

    def reads(self, descriptor: int) -> bool:
        """Whether a descriptor leads to this file."""
        return os.path.sameopenfile(self._file.fileno(), descriptor)

    def look(self) -> None:
        """Overwrite every secret that has come since the last look."""
        if self._redactor.longest == 0:
            return
        descriptor, overlap = self._file.fileno(), self._redactor.longest - 1
        if os.fstat(descriptor).st_size < self._position:
            self._position = 0  # somebody has emptied it
        while data := os.pread(descriptor, _BLOCK, self._position):
            start = max(0, self._position - overlap)
            before = os.pread(descriptor, self._position - start, start)
            for place, length in self._redactor.places(before + data):
                os.pwrite(descriptor, b"*" * length, start + place)
            self._position += len(data)

    def close(self) -> None:
        """Look a last time."""
        self.look()
        self._file.close()


def look_at_end(path: Path, redactor: Redactor) -> None:
    """Overwrite the secrets at the end of a file whose actor can no longer do so."""
    try:
        RawOutput(path, redactor, max(0, path.stat().st_size - _AT_THE_END)).close()
    except OSError:
        return  # nothing is shown of what cannot be read
