"""Where post-mortems are kept: one file a death, for the owner's eyes only, and not more than so many of them."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..kernel.private_files import open_to_read, remove_private, write_private
from ..kernel.trusted_folder import make_own
from .post_mortem import Death, compose, parse

PER_CHILD = 10
PER_TREE = 200
"""So many are kept; the oldest go first."""
_READ_AT_MOST = 8 * 1024 * 1024

_NAME = re.compile(r"(?P<child>.+)-(?P<incarnation>\d+)-(?P<at>\d{8}T\d{9}Z)\.txt")


def folder(state_dir: str | Path) -> Path:
    """Where the post-mortems of a tree are."""
    return Path(state_dir) / "post-mortems"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """The file of one death; they sort by time."""

    at: str
    incarnation: int
    child: str
    path: Path

    def read(self) -> Death | None:
        """The death; None when the file is gone or not readable."""
        try:
            with open_to_read(self.path) as file:
                return parse(file.read(_READ_AT_MOST).decode())
        except (OSError, ValueError):
            return None


def place_of(state_dir: str | Path, death: Death) -> Path:
    """The file of a death: named for the child, its incarnation and when it ended (UTC, to the millisecond)."""
    return folder(state_dir) / f"{death['id']}-{death['incarnation']}-{_stamp(death)}.txt"


def _stamp(death: Death) -> str:
    return re.sub(r"[-:.]", "", death["at"])


def places(state_dir: str | Path, child: str | None = None) -> list[Place]:
    """The post-mortems of one child, or of all, oldest first."""
    return sorted(place for place in _all(folder(state_dir)) if child is None or place.child == child)


def write(state_dir: str | Path, death: Death) -> Path:
    """Write a post-mortem, whole or not at all, in place of an earlier one of the same death; remove what is beyond the bounds."""
    path = place_of(state_dir, death)
    make_own(path.parent)
    write_private(path, compose(death).encode(errors="backslashreplace"), path.with_suffix(".new"))
    _remove_oldest(state_dir, death["id"], _stamp(death))
    return path


def _remove_oldest(state_dir: str | Path, child: str, now: str) -> None:
    # What seems to be later than the newest is older: the clock has been set back.
    found = sorted(places(state_dir), key=lambda place: (place.at <= now, place))
    of_child = [place for place in found if place.child == child]
    surplus = of_child[:-PER_CHILD]
    rest = [place for place in found if place not in surplus]
    for place in (*surplus, *rest[:-PER_TREE]):
        with contextlib.suppress(OSError):
            remove_private(place.path)


def _all(where: Path) -> Iterator[Place]:
    try:
        names = os.listdir(where)  # noqa: PTH208  (names, not paths)
    except OSError:
        return
    for name in names:
        if match := _NAME.fullmatch(name):
            yield Place(match["at"], int(match["incarnation"]), match["child"], where / name)
