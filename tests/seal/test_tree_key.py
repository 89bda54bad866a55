"""The key of a tree: made once, for its owner alone, and not used when others may know it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from suptree.actors.errors import SuptreeError
from suptree.control.seal.tree_key import key_path, rotate_key, tree_key


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        key = tree_key(tmp_path)
    finally:
        os.umask(before)
    assert (32, key, 0o600) == (len(key), tree_key(tmp_path), stat.S_IMODE(key_path(tmp_path).stat().st_mode))
    assert [key_path(tmp_path).name] == [found.name for found in tmp_path.iterdir()]


def test_two_trees_have_two_keys(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    assert tree_key(tmp_path / "one") != tree_key(tmp_path / "other")


def test_a_rotated_key_is_another_one(tmp_path: Path) -> None:
    old = tree_key(tmp_path)
    rotate_key(tmp_path)
    assert old != tree_key(tmp_path)
    assert (32, 0o600) == (len(tree_key(tmp_path)), stat.S_IMODE(key_path(tmp_path).stat().st_mode))
    assert [key_path(tmp_path).name] == [found.name for found in tmp_path.iterdir()]


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "read by all": (lambda path: path.chmod(0o644), "can be read by others"),
    "read by a group": (lambda path: path.chmod(0o640), "can be read by others"),
    "written by all": (lambda path: path.chmod(0o602), "can be read by others"),
    "short": (lambda path: path.write_bytes(bytes(31)), "has not 32 bytes"),
    "empty": (lambda path: path.write_bytes(b""), "has not 32 bytes"),
    "long": (lambda path: path.write_bytes(bytes(33)), "has not 32 bytes"),
    "a link": (link, "cannot be read"),
    "a folder": (folder, "cannot be read"),
    "a pipe": (pipe, "is no regular file"),
    "somebody else's": (lambda path: os.chown(path, 65534, -1), "can be read by others ({} belongs to user nobody)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_key_that_others_may_know_or_have_made_is_refused(tmp_path: Path, fault: str) -> None:
    if fault == "somebody else's" and os.getuid() != 0:
        pytest.skip("only root can give a file away")
    tree_key(tmp_path)
    spoil, words = FAULTS[fault]
    spoil(key_path(tmp_path))
    with pytest.raises(SuptreeError) as refused:
        tree_key(tmp_path)
    words = words.format(key_path(tmp_path))
    assert f"{key_path(tmp_path)} {words}: make another key with `suptree key --rotate --tree {tmp_path.name}`" == str(refused.value)


def test_a_key_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SuptreeError, match=r"seal.key cannot be written: No such file or directory"):
        rotate_key(tmp_path / "nowhere")
