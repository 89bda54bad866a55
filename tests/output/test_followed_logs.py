"""`logs -f` goes on as `tail -F` does, whatever people do to the file that it follows, and says where something is missing."""

import asyncio
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from suptree.actors.errors import SuptreeError
from suptree.actors.output import log_folder_watch, output_log
from suptree.actors.output.log_reader import follow_log, tail
from suptree.actors.output.output_log import OutputLog, rotated_path


def write(log: OutputLog, *texts: object) -> None:
    for text in texts:
        log.write("out", str(text).encode())


def said(entry: str) -> str:
    return entry if entry.startswith("[suptree]") else entry.split(" ", 3)[3]


def remove(path: Path) -> None:
    path.unlink()


def move_to_the_rotated_one(path: Path) -> None:
    path.rename(rotated_path(path))


def move_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def remove_the_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def move_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("old"))


async def heard(path: Path, act: Callable[[], None], count: int, *, lines: int = 10) -> list[str]:
    """What a follower hears that has read all there is before `act`."""
    async with asyncio.timeout(10):
        entries = follow_log(path, lines)
        first = [said(await anext(entries))]
        coming = asyncio.ensure_future(anext(entries))
        await asyncio.sleep(0.1)
        act()
        first.append(said(await coming))
        while len(first) < count:
            first.append(said(await anext(entries)))
        return first


@pytest.mark.parametrize("with_inotify", [True, False])
@pytest.mark.parametrize("harm", [remove, move_to_the_rotated_one, move_away, remove_the_folder, move_the_folder])
def test_a_follower_hears_each_line_when_the_log_is_taken_away(
    harm: Callable[[Path], None], with_inotify: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "logs" / "a.log"
    log = OutputLog(path, 1)
    write(log, "before")

    def none_left() -> int:
        """As where a user has used up all that there are."""
        raise OSError(errno.EMFILE, "too many")

    if not with_inotify:
        monkeypatch.setattr(log_folder_watch, "create_inotify", none_left)

    def act() -> None:
        write(log, "last in the old file")
        harm(path)
        write(log, "first in the new file")

    async def program() -> list[str]:
        return await heard(path, act, 3)

    assert ["before", "last in the old file", "first in the new file"] == asyncio.run(program())


@pytest.mark.parametrize("after", ["short", "x" * 1000])
def test_a_follower_says_that_a_log_was_emptied_and_reads_it_from_its_beginning(after: str, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = OutputLog(path, 1)
    write(log, "before " * 10)

    def act() -> None:
        os.truncate(path, 0)
        write(log, after)

    mark = "[suptree] somebody emptied the log; what was written to it last may be missing"
    assert ["before " * 10, mark, after] == asyncio.run(heard(path, act, 3))


def test_a_follower_that_is_overtaken_says_how_much_it_has_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.log"
    monkeypatch.setattr(output_log, "_ROTATE_AT", 1000)
    log = OutputLog(path, 1)
    written = [f"{number:0100}" for number in range(100)]
    write(log, written[0])
    found = asyncio.run(heard(path, lambda: write(log, *written[1:]), 10))
    at = next(place for place, text in enumerate(found) if text.startswith("[suptree]"))
    before, mark, after = found[:at], found[at], found[at + 1 :]
    first = written.index(after[0])
    skipped = (first - len(before)) * (len("2026-11-27T00:10:42.000Z #1 out \n") + 100)
    assert (written[: len(before)], written[first : first + len(after)]) == (before, after)
    assert f"[suptree] {skipped} bytes of output are skipped: they came faster than they were read, and are no longer kept" == mark
    assert skipped > 0


def test_a_rotation_that_a_follower_keeps_up_with_leaves_no_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.log"
    monkeypatch.setattr(output_log, "_ROTATE_AT", 1000)
    log = OutputLog(path, 1)
    write(log, "0")
    found = asyncio.run(heard(path, lambda: write(log, *range(1, 40)), 40))
    assert [str(number) for number in range(40)] == found


def test_two_followers_hear_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = OutputLog(path, 1)
    write(log, "before")

    async def program() -> list[list[str]]:
        return list(await asyncio.gather(*(heard(path, lambda: write(log, "x"), 3) for _ in range(2))))

    assert [["before", "x", "x"]] * 2 == asyncio.run(program())


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("put", [a_folder, os.mkfifo])
def test_what_is_no_log_is_refused_with_a_reason_and_nobody_waits_for_it(put: Callable[[Path], None], tmp_path: Path) -> None:
    put(tmp_path / "a.log")
    with pytest.raises(SuptreeError, match=r"a\.log cannot be read: it is no regular file"):
        tail(tmp_path / "a.log", 10)
