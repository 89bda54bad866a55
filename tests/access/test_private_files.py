"""Every file of a tree is its owner's alone, whatever the umask that it is started with."""

import asyncio
import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from suptree.actors.errors import SuptreeError
from suptree.actors.kernel.private_files import make_shared, open_nameless, open_private
from suptree.control import ProcessManager
from suptree.control.client.client import Client
from suptree.control.trees.paths import TreePaths
from suptree.testing import LiveTree

from .other_user import as_nobody, needs_root

AGENTS = str(Path(__file__).parent / "agents")
SUPTREE = str(Path(sys.executable).parent / "suptree")
WITHIN = 60.0

TREE = """
[tree]
name = "private"

[supervisors.root]
max_restarts = 20

[agents.fails]
type = "process_wrapper"
command = "sh"
args = ["-c", "echo out; echo err >&2; exit 3"]
restart = "temporary"

# Its log rotates, and one of its lines waits in a file of its own.
[agents.floods]
type = "process_wrapper"
command = "sh"
args = ["-c", '''
    head -c 17000000 /dev/zero | tr '\\0' y | fold -w 1000; echo
    head -c 1000000 /dev/zero | tr '\\0' x; echo
    echo done
    exec sleep 1000
''']

[agents.talks]
type = "process_wrapper"
command = "sh"
args = ["-c", "read line; umask > FILE; exec sleep 1000"]
stdin = "pty"
limits = { memory_max = "1G" }
hooks = { post_exit = ["sh", "-c", "echo tidied"] }

[agents.native]
type = "native_llm"
factory = "writing_agents:Writes"
config = { folder = "FOLDER" }
"""


@pytest.fixture(params=[0o000, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(*folders: Path) -> dict[str, str]:
    """What below some folders, and of these, is not its owner's alone: path and mode."""
    paths = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    assert len(paths) > len(folders)
    found = {str(path): stat.filemode(path.lstat().st_mode) for path in paths}
    return {path: mode for path, mode in found.items() if mode not in ("drwx------", "-rw-------", "srw-------")}


def run_and_look(tree: LiveTree) -> set[str]:
    """The names of all files of a tree that has made all kinds of them."""
    paths = tree.launcher.paths
    tree.ask(lambda client: client.tell("talks", "go on"))
    tree.wait_until(lambda s: {row["id"]: row["status"] for row in s["agents"]}["fails"] == "crashed", WITHIN)

    async def flooded(client: Client) -> None:
        async with asyncio.timeout(WITHIN), contextlib.aclosing(client.follow_log("floods", 1)) as lines:
            async for line in lines:
                if line.endswith(" done"):
                    return

    tree.ask(flooded)
    assert {} == modes(tree.home / "trees", paths.runtime.parent)
    return {path.name for path in (*paths.state.rglob("*"), *paths.runtime.iterdir())}


def test_all_files_of_a_run_and_of_the_next_are_private(
    umask: int, tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.umask(0o077)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_folder))
    out = tmp_path / "umask"
    tree = LiveTree(TREE.replace("FILE", str(out)).replace("FOLDER", str(tmp_path)), sys_path=[AGENTS])
    os.umask(umask)
    try:
        with tree:
            kinds = run_and_look(tree)
            expected = {
                "journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "launcher.log", "run.json", "lock", "logs", "post-mortems",
                "seal.key", "fails.log", "floods.log", "floods.log.1", "talks.log", "native.log",
                "control.sock", "notify.sock",
            }  # fmt: skip
            assert set() == expected - kinds
            assert any(name.startswith("fails-1-") for name in kinds)
            subprocess.run(
                [SUPTREE, "events"], env={**os.environ, "SUPTREE_HOME": str(tree.home)}, check=True, capture_output=True, timeout=60
            )
            # What somebody has opened up, or an older version left so, is closed by the next run; a damaged journal is moved aside.
            tree.down()
            state = tree.launcher.paths.state
            (state / "journal.sqlite").write_bytes(b"no journal at all" * 100)
            (state / "thespian.log").write_text("from an older run\n")
            for path in (state, *state.rglob("*")):
                # A key that others may have read is refused, and not closed.
                if path.name != "seal.key":
                    path.chmod(0o777)
            tree.up()
            assert "journal.sqlite.damaged" in run_and_look(tree)
    finally:
        os.umask(0o077)
    # The agents themselves get back what was.
    assert int(out.read_text() if umask != 0o777 else "0777", 8) == umask
    assert umask == json.loads((tmp_path / "native.limits").read_text())["umask"]


def test_what_a_program_embeds_is_private_too(umask: int, tmp_path: Path) -> None:
    async def run() -> dict[str, str]:
        async with ProcessManager(tmp_path / "home" / "deeper") as pm:
            await pm.start_agent("a", "process_wrapper", {"command": "sh", "args": ["-c", "echo a; exit 3"]})
            return modes(tmp_path / "home")

    assert {} == asyncio.run(run())
    assert umask == os.umask(umask)


def test_a_home_that_anybody_may_write_to_is_refused(tmp_path: Path) -> None:
    for mode in (0o777, 0o1777):
        tmp_path.chmod(mode)
        replace = r"may (replace|put something in the place of) what is in .* \(chmod go-w it\)"
        with pytest.raises(SuptreeError, match=rf"{replace}; set SUPTREE_HOME to a folder of your own"):
            TreePaths.of("x", tmp_path).make()


@needs_root
def test_another_user_can_read_no_file_of_a_tree_and_reach_no_socket(tmp_path: Path) -> None:
    text = TREE.replace("FILE", str(tmp_path / "umask")).replace("FOLDER", str(tmp_path))
    with LiveTree(text, sys_path=[AGENTS]) as tree:
        run_and_look(tree)
        # Even one who may enter what is above.
        tree.home.chmod(0o755)
        paths = tree.launcher.paths
        inside = [path for folder in (tree.home / "trees", paths.runtime.parent) for path in folder.rglob("*")]
        assert {"journal.sqlite", "launcher.log", "run.json", "lock", "control.sock"} <= {path.name for path in inside}
        assert dict.fromkeys(map(str, inside), "PermissionError") == as_nobody(lambda: {str(path): _got(path) for path in inside})
        for folder in (tree.home / "trees", paths.runtime.parent):
            assert "PermissionError" == as_nobody(partial(os.listdir, folder))


def _got(path: Path) -> str:
    """What another user gets who wants to see something, or to talk to it."""
    try:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
                stranger.connect(str(path))
        return str(path.stat())
    except OSError as error:
        return type(error).__name__


@pytest.mark.parametrize("before", [None, 0o666, 0o000, 0o600])
def test_a_private_file_is_one_whatever_was_there(umask: int, tmp_path: Path, before: int | None) -> None:
    path = tmp_path / "log"
    if before is not None:
        path.touch()
        path.chmod(before)
    with os.fdopen(open_private(path), "ab") as file:
        file.write(b"x")
    assert (0o600, b"x") == (stat.S_IMODE(path.stat().st_mode), path.read_bytes())


@needs_root
def test_a_place_that_others_pass_through_is_not_made_in_what_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(tmp_path)
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, -1)
    mode = tmp_path.stat().st_mode
    for name in ("linked", "theirs"):
        with pytest.raises(OSError, match=r"Not a directory|belongs to user nobody"):
            make_shared(tmp_path / name)
    make_shared(tmp_path / "ours")
    assert (mode, 0o711) == (tmp_path.stat().st_mode, stat.S_IMODE((tmp_path / "ours").stat().st_mode))


@pytest.mark.parametrize("tmpfile", [os.O_TMPFILE, os.O_DIRECTORY], ids=["O_TMPFILE", "without"])
def test_a_file_without_a_name_is_there_and_seen_by_nobody(tmpfile: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of the flag an older kernel knows this part alone, and says EISDIR.
    monkeypatch.setattr(os, "O_TMPFILE", tmpfile)
    with open_nameless(tmp_path) as file:
        file.write(b"kept")
        file.seek(0)
        found = os.fstat(file.fileno())
        assert (b"kept", 0, 0o600, []) == (file.read(), found.st_nlink, stat.S_IMODE(found.st_mode), [*tmp_path.iterdir()])
    with pytest.raises(FileNotFoundError):
        open_nameless(tmp_path / "absent")
