"""A tree in a user namespace: all users that are not mapped there, strangers and the real root, look like one."""

import ctypes
import os
import pwd
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.kernel.peers import Peer, is_owner, unmapped_users
from suptree.actors.kernel.trusted_folder import FolderNotTrusted, make_own, trusted_folder, who_could_change
from tests.access.other_user import NOBODY, as_user, needs_root

OWNER, STRANGER = pwd.getpwnam("daemon"), pwd.getpwnam("bin")
UNMAPPED = "a user that this user namespace does not map"
_CLONE_NEWUSER = 0x10000000
_PR_SET_DUMPABLE = 4

pytestmark = needs_root


@pytest.fixture
def wide() -> Iterator[Path]:
    """A folder like /tmp, with one of a stranger, one of the owner of the tree, and a link of the stranger; above, only root may write."""
    with tempfile.TemporaryDirectory(dir="/run") as made:
        folder = Path(made)
        folder.chmod(0o1777)
        for name, user in (("theirs", STRANGER), ("ours", OWNER)):
            (folder / name).mkdir(mode=0o755)
            os.chown(folder / name, user.pw_uid, user.pw_gid)
        (folder / "link").symlink_to("ours")
        os.chown(folder / "link", STRANGER.pw_uid, STRANGER.pw_gid, follow_symlinks=False)
        yield folder


def inside(mapped_to: int, act: Callable[[], str]) -> Any:
    """What the owner of a tree sees in a user namespace that knows no user but the owner, by this number."""

    def enter() -> str:
        libc = ctypes.CDLL(None, use_errno=True)
        # Its own files in /proc are its own again, which they were not any more when it had become another user.
        assert 0 == libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        if libc.unshare(_CLONE_NEWUSER) != 0:
            return "no user namespaces"
        Path("/proc/self/uid_map").write_bytes(f"{mapped_to} {OWNER.pw_uid} 1".encode())
        unmapped_users.cache_clear()
        assert (os.geteuid(), NOBODY.pw_uid) == (mapped_to, Path("/").stat().st_uid)
        return act()

    seen = as_user(OWNER, enter)
    if seen == "no user namespaces":
        pytest.skip("this kernel lets nobody make a user namespace here")
    return seen


def judged(path: Path) -> str:
    try:
        with trusted_folder(path):
            return "trusted"
    except FolderNotTrusted as refused:
        return str(refused)


def made(path: Path) -> str:
    make_own(path)
    return judged(path)


@pytest.mark.parametrize("mapped_to", [0, OWNER.pw_uid, 1000])
def test_in_a_folder_that_all_may_write_nothing_of_a_stranger_is_trusted(wide: Path, mapped_to: int) -> None:
    seen = [inside(mapped_to, partial(judged, wide / name)) for name in ("ours", "theirs", "link", "ours/../theirs")]
    stranger = f"belongs to {UNMAPPED}"
    assert ["trusted", f"{wide}/theirs {stranger}", f"{wide}/link {stranger}", f"{wide}/ours/../theirs {stranger}"] == seen


def test_the_folders_of_the_machine_and_new_ones_are_used_as_ever(wide: Path) -> None:
    assert "trusted" == inside(0, lambda: judged(Path("/usr/bin")))
    assert "trusted" == inside(0, partial(made, wide / "new" / "home"))
    assert (wide / "new" / "home").stat().st_uid == OWNER.pw_uid


def test_a_file_of_a_stranger_is_one_that_others_could_change(wide: Path) -> None:
    assert f"{wide}/theirs belongs to {UNMAPPED}" == inside(0, lambda: str(who_could_change(wide / "theirs")))
    assert "None" == inside(0, lambda: str(who_could_change(wide / "ours")))


def test_where_this_user_has_the_number_of_all_strangers_it_trusts_nothing_in_such_a_folder_not_even_its_own(wide: Path) -> None:
    seen = [inside(NOBODY.pw_uid, partial(judged, wide / name)) for name in ("ours", "theirs", "link")]
    assert [f"{wide}/{name} belongs to {UNMAPPED}" for name in ("ours", "theirs", "link")] == seen
    assert "FolderNotTrusted" == inside(NOBODY.pw_uid, partial(made, wide / "new"))


def test_nor_is_a_stranger_at_the_other_end_of_a_socket_this_user_there() -> None:
    with subprocess.Popen(["sleep", "1000"], user=STRANGER.pw_uid, group=STRANGER.pw_gid, extra_groups=()) as stranger:
        try:
            assert "False" == inside(NOBODY.pw_uid, lambda: str(is_owner(Peer(stranger.pid, NOBODY.pw_uid))))
            assert "False" == inside(NOBODY.pw_uid, lambda: str(is_owner(Peer(0, NOBODY.pw_uid))))
            assert "True" == inside(NOBODY.pw_uid, lambda: str(is_owner(Peer(os.getpid(), NOBODY.pw_uid))))
            assert is_owner(Peer(stranger.pid, os.getuid()))
        finally:
            stranger.kill()
