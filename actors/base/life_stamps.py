"""When those processes of the tree that no heartbeat actor watches last showed that they work: in memory that all of them share."""

import mmap
import struct
import time
from typing import Final

_STAMP = struct.Struct("d")


class LifeStamps:
    """A monotonic time for each name, in a page that processes share which are forked later. A stamp costs no message and wakes nobody."""

    def __init__(self, *names: str) -> None:
        self._page = mmap.mmap(-1, _STAMP.size * len(names))
        self._offsets = {name: number * _STAMP.size for number, name in enumerate(names)}

    def stamp(self, name: str) -> None:
        """The process of that name works."""
        _STAMP.pack_into(self._page, self._offsets[name], time.monotonic())

    def seen(self, name: str) -> float:
        """When it last did, in monotonic seconds; 0 when it never has."""
        seen: float = _STAMP.unpack_from(self._page, self._offsets[name])[0]
        return seen


STAMPS: Final = LifeStamps("top", "registry", "heartbeat")
"""Those of this tree: the launcher makes the page, before it forks anything."""
