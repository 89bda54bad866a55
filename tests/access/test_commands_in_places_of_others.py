"""A command that root gives with the home or the runtime folder of another user, or in a folder of theirs, ends and overwrites nothing."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from suptree.actors.errors import SuptreeError
from suptree.control.launcher.keeper import have_folder
from suptree.control.trees.find import find_tree
from suptree.control.trees.paths import TreePaths, known_trees
from suptree.control.trees.standing import standing
from suptree.testing import LiveTree

from .other_user import NOBODY, as_nobody, needs_root

SUPTREE = str(Path(sys.executable).parent / "suptree")
pytestmark = needs_root
TREE = '[tree]\nname = "t"\n[agents.a]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000000"]\n'


def suptree(*arguments: str, **environment: str) -> tuple[int, str]:
    """How a command of root ends, and its errors."""
    command, given = [SUPTREE, *arguments], {**os.environ, **environment}
    done = subprocess.run(command, env=given, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", ["status", "down", "key", "token"])
def test_no_command_looks_for_a_tree_in_the_home_of_another_user(command: str, tmp_path: Path) -> None:
    tree = tmp_path / "trees" / "mine"
    tree.mkdir(parents=True)
    (tree / "run.json").write_text("{}")
    for path in (tmp_path, tree.parent, tree, tree / "run.json"):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    tmp_path.chmod(0o755)
    status, said = suptree(command, "--tree", "mine", SUPTREE_HOME=str(tmp_path))
    assert (1, True) == (status, "belongs to user nobody; set SUPTREE_HOME to a folder of your own" in said), said
    assert {"run.json"} == {path.name for path in tree.iterdir()}


def test_doctor_makes_nothing_where_a_link_of_another_user_leads(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for folder in (theirs, ours):
        folder.mkdir()
        folder.chmod(0o755)
    (theirs / ".local").symlink_to(ours)
    for path in (theirs, theirs / ".local"):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)
    command, given = [SUPTREE, "doctor", "--json"], {"PATH": os.environ["PATH"], "HOME": str(theirs)}
    done = subprocess.run(command, env=given, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    (folders,) = [finding for finding in json.loads(done.stdout) if finding["feature"] == "folders"]
    assert (1, "missing", True) == (done.returncode, folders["state"], "belongs to user nobody" in folders["found"]), folders
    assert [] == list(ours.iterdir())


def test_a_link_to_the_socket_of_another_tree_in_a_runtime_folder_of_another_user_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LiveTree(TREE) as real:
        real.wait_until_all_run()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        other = TreePaths.of("other", tmp_path / "home")
        other.state.mkdir(parents=True)
        other.run_file.write_text("{}")
        other.runtime.mkdir(parents=True)
        other.control_socket.symlink_to(real.launcher.paths.control_socket)
        found = standing(other)
        assert found is not None
        assert found.answers  # In a folder of root's it is root who says so.
        for folder in (other.runtime.parent, other.runtime):
            os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
        assert standing(other) is None
    shutil.rmtree(tmp_path / "home")


@pytest.mark.parametrize("put_there", ["folder", "link"])
def test_a_launcher_makes_its_socket_again_in_no_folder_that_another_user_has_put_there(put_there: str, tmp_path: Path) -> None:
    wide, ours = tmp_path / "wide", tmp_path / "ours"
    for folder in (wide, ours):
        folder.mkdir()
    wide.chmod(0o1777)
    runtime = wide / "0"
    have_folder(runtime / "key")
    have_folder(runtime / "key")
    shutil.rmtree(runtime)
    if put_there == "folder":
        (runtime / "key").mkdir(parents=True)
    else:
        runtime.symlink_to(ours)
        (ours / "key").mkdir(mode=0o700)
    os.chown(runtime, NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)
    with pytest.raises(PermissionError, match="belongs to user nobody"):
        have_folder(runtime / "key")


@pytest.mark.parametrize("more", [(), ("--force",)])
def test_init_follows_no_link(more: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for target in ("mine", "absent"):
        link = tmp_path / f"{target}.toml"
        link.symlink_to(target)
        status, said = suptree("init", str(link), *more)
        assert (1, True) == (status, "is a link" in said or "is there already" in said), said
    assert "mine" == (tmp_path / "mine").read_text()
    assert not (tmp_path / "absent").exists()
    status, _ = suptree("init", str(tmp_path / "mine"), "--force")
    assert 0 == status


@pytest.mark.parametrize("more", [(), ("--force",)])
def test_init_waits_for_nobody_at_a_fifo_that_another_user_has_made(more: tuple[str, ...], tmp_path: Path) -> None:
    fifo, folder = tmp_path / "tree.toml", tmp_path / "folder"
    os.mkfifo(fifo, 0o666)
    os.chown(fifo, NOBODY.pw_uid, NOBODY.pw_gid)
    folder.mkdir()
    for path, why in ((fifo, "is no regular file: choose another name"), (folder, "cannot be written: Is a directory")):
        status, said = suptree("init", str(path), *more)
        assert (1, True) == (status, why in said or (not more and "is there already" in said)), said
    # Nor where somebody reads there.
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    status, said = suptree("init", str(fifo), "--force")
    assert (1, True, b"") == (status, "is no regular file: choose another name" in said, os.read(reader, 100)), said
    os.close(reader)


def test_init_leaves_nothing_of_a_longer_file_that_it_overwrites(tmp_path: Path) -> None:
    fresh, old = tmp_path / "fresh.toml", tmp_path / "old.toml"
    old.write_text("x" * 100_000)
    assert [(0, ""), (0, "")] == [suptree("init", str(path), "--force") for path in (fresh, old)]
    assert fresh.read_text() == old.read_text()


@pytest.mark.parametrize(("closed", "name"), [("t", None), ("t", "t"), ("u", "t"), ("trees", None)])
def test_a_folder_that_its_user_may_not_enter_is_named_in_one_sentence(
    closed: str, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as home:
        monkeypatch.setenv("SUPTREE_HOME", home)
        trees = Path(home, "trees")
        for each in ("t", "u"):
            (trees / each).mkdir(parents=True)
            (trees / each / "run.json").write_text("{}")
        for path in (Path(home), *Path(home).rglob("*")):
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        folder = trees if closed == "trees" else trees / closed
        folder.chmod(0)

        def error() -> list[str]:
            with pytest.raises(SuptreeError) as raised:
                find_tree(name)
            return [type(raised.value).__name__, str(raised.value)]

        found = as_nobody(error)
    expected = {
        "t": ["SuptreeError", f"{folder} cannot be entered (Permission denied), so it is not known whether tree 't' runs:"],
        "u": ["NotRunning", "tree 't' does not run:"],
        "trees": ["SuptreeError", f"{folder} cannot be read (Permission denied):"],
    }
    assert expected[closed] == [found[0], found[1][: len(expected[closed][1])]]


def test_a_home_of_ones_own_has_its_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPTREE_HOME", str(tmp_path))
    assert [] == known_trees()
    (tmp_path / "trees" / "mine").mkdir(parents=True)
    (tmp_path / "trees" / "mine" / "run.json").write_text("{}")
    assert ["mine"] == [paths.name for paths in known_trees()]
