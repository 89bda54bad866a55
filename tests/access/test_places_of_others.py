"""Root with a home, a runtime folder or a file of secrets that somebody else can reach: root writes, reads and says nothing there."""

import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from suptree.actors.errors import AccessRefused, SuptreeError
from suptree.actors.kernel.lossy_file import LossyFile
from suptree.actors.kernel.private_files import open_private, open_to_read
from suptree.actors.kernel.trusted_folder import FolderNotTrusted, is_private_group, make_own, trusted_folder, who_could_change
from suptree.actors.notify.notify_sockets import NotifySockets
from suptree.actors.spec.env_file import EnvFileRefused, read_env_file
from suptree.control.client.client import Client
from suptree.control.trees.find import running_trees
from suptree.control.trees.paths import TreePaths

from .other_user import NOBODY, PYTHON, needs_root

SUPTREE = str(Path(sys.executable).parent / "suptree")
TREE = '[tree]\nname = "t"\n[agents.a]\ntype = "process_wrapper"\ncommand = "true"\n'
pytestmark = needs_root


def given_away(*paths: Path) -> None:
    for path in paths:
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder of another user, in one that everybody may enter."""
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o755)
    given_away(folder)
    return folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of root's, as it must be afterwards."""
    path = tmp_path / "shadow"
    path.write_text("KEY=hidden-word\n")
    path.chmod(0o640)
    return path


def up(home: Path, runtime: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "t.toml"
    file.write_text(TREE)
    environment = {**os.environ, "SUPTREE_HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)}
    command = [SUPTREE, "up", "-d", str(file)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("linked", ["lock", "run.new", "launcher.log", "logs"])
def test_a_home_of_another_user_with_links_in_it_is_refused_and_their_targets_are_as_before(
    linked: str, theirs: Path, secret: Path, tmp_path: Path
) -> None:
    state = theirs / "trees" / "t"
    state.mkdir(parents=True)
    (state / linked).symlink_to(secret)
    given_away(theirs / "trees", state, state / linked)
    before = secret.stat()
    done = up(theirs, tmp_path, tmp_path)
    assert (1, True) == (done.returncode, f"{theirs} belongs to user nobody; set SUPTREE_HOME to a folder of your own" in done.stderr)
    assert before == secret.stat()


def test_what_others_have_put_into_a_folder_of_ours_is_refused_once_they_are_locked_out(secret: Path, tmp_path: Path) -> None:
    paths = TreePaths.of("t", tmp_path / "home")
    paths.make()
    planted = paths.state / "lock"
    planted.symlink_to(secret)
    given_away(planted)
    paths.state.chmod(0o777)
    with pytest.raises(SuptreeError, match="lock was put there by somebody else: look at it, and remove it"):
        paths.make()
    assert ("KEY=hidden-word\n", 0o700) == (secret.read_text(), stat.S_IMODE(paths.state.stat().st_mode))


def test_no_part_of_the_way_to_a_tree_may_be_others_to_change(theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(theirs)
    (theirs / "link").symlink_to(tmp_path)
    given_away(tmp_path / "link", theirs / "link")
    wide = tmp_path / "wide"
    wide.mkdir()
    wide.chmod(0o777)
    for home in (theirs, theirs / "below", tmp_path / "link", theirs / "link" / "mine", wide, wide / "below"):
        with pytest.raises(SuptreeError, match=r"is no safe place: .* set SUPTREE_HOME to a folder of your own"):
            TreePaths.of("t", home).make()
    (wide / "mine").mkdir()
    wide.chmod(0o1777)
    with pytest.raises(SuptreeError, match="every user may replace"):
        TreePaths.of("t", wide).make()
    # There others may make folders, and not touch this one.
    TreePaths.of("t", wide / "mine").make()
    # A link of ours is no danger.
    (tmp_path / "ours").symlink_to(wide / "mine")
    TreePaths.of("t", tmp_path / "ours").make()
    assert [] == [path.name for path in theirs.iterdir() if path.name != "link"]


def test_a_runtime_folder_of_another_user_is_refused(short_folder: Path, tmp_path: Path) -> None:
    """In a short path, for that of a socket may have 107 bytes."""
    short_folder.chmod(0o755)
    theirs = short_folder / "theirs"
    theirs.mkdir(mode=0o755)
    given_away(theirs)
    done = up(tmp_path / "home", theirs, tmp_path)
    assert (1, True) == (done.returncode, "belongs to user nobody; set XDG_RUNTIME_DIR to a folder of your own" in done.stderr)
    assert [] == [*theirs.iterdir()]


@pytest.mark.parametrize("name", ["logs/a.log", "launcher.log"])
def test_a_file_of_ours_is_opened_through_no_link_and_is_never_another_users(name: str, secret: Path, tmp_path: Path) -> None:
    path = tmp_path / "state" / name
    path.parent.mkdir(parents=True)
    path.symlink_to(secret)
    before = secret.stat()
    for act in (open_private, open_to_read):
        with pytest.raises(OSError, match="Too many levels of symbolic links"):
            act(path)
    path.unlink()
    path.symlink_to("/dev/null")
    given_away(path)
    with pytest.raises(PermissionError, match="belongs to user nobody"):
        open_private(path)
    path.unlink()
    path.write_text("theirs\n")
    given_away(path)
    for act in (open_private, open_to_read):
        with pytest.raises(PermissionError, match="belongs to user nobody"):
            act(path)
    assert (before, "theirs\n") == (secret.stat(), path.read_text())


def test_a_folder_that_was_removed_and_that_another_user_has_made_again_is_not_ours(theirs: Path, tmp_path: Path) -> None:
    """A cleaner of /tmp may have taken ours away while the tree runs."""
    wide = tmp_path / "wide"
    wide.mkdir()
    wide.chmod(0o1777)
    runtime = wide / "suptree" / "0"
    runtime.mkdir(parents=True)
    sockets = NotifySockets(str(runtime))
    shutil.rmtree(runtime.parent)
    runtime.mkdir(parents=True)
    given_away(runtime, runtime.parent)
    before = [path.stat() for path in (runtime.parent, runtime)]
    with pytest.raises(PermissionError, match="belongs to user nobody"):
        sockets.open("unused")
    # Nor below one of ours that has another user's in it.
    os.chown(runtime.parent, 0, 0)
    with pytest.raises(PermissionError, match="belongs to user nobody"):
        sockets.open("unused")
    for act in (make_own, lambda folder: LossyFile(folder / "a.log", lambda _count, _why: b"").append(b"x\n")):
        with contextlib.suppress(PermissionError):
            act(runtime)
    assert ([], before[1]) == ([*runtime.iterdir()], runtime.stat())
    runtime.parent.rename(theirs / "moved")


LISTENS = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
listener.listen()
print("listens", flush=True)
while True:
    connection, _ = listener.accept()
    print("heard", connection.recv(1000), flush=True)
"""


@pytest.fixture
def impostor(theirs: Path) -> Iterator[tuple[Path, list[str]]]:
    """A control socket at which another user listens, and what that user hears there."""
    path = theirs / "c"
    command = [PYTHON, "-SE", "-c", LISTENS, str(path)]
    # It may not enter what is above.
    with subprocess.Popen(
        command, user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[], cwd="/", stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "listens\n" == process.stdout.readline()
        heard: list[str] = []
        reader = threading.Thread(target=lambda: heard.extend(process.stdout or ()))
        reader.start()
        try:
            yield path, heard
        finally:
            process.kill()
            reader.join()


@pytest.fixture
def open_tmp_path(tmp_path: Path) -> Iterator[None]:
    """The folders above, for other users to pass through."""
    above = [folder for folder in tmp_path.parents if folder.name.startswith("pytest")] + [tmp_path]
    before = [stat.S_IMODE(folder.stat().st_mode) for folder in above]
    for folder in above:
        folder.chmod(0o755)
    yield
    for folder, mode in zip(above, before, strict=True):
        folder.chmod(mode)


@pytest.mark.usefixtures("open_tmp_path")
def test_a_client_says_nothing_to_a_control_socket_of_another_user(impostor: tuple[Path, list[str]]) -> None:
    path, heard = impostor

    async def tell() -> None:
        async with Client(path) as client:
            await client.tell("a", "a secret of root's")

    with pytest.raises(AccessRefused, match="user nobody listens at that control socket, not you: nothing was sent"):
        asyncio.run(tell())
    with socket.socket(socket.AF_UNIX) as later:
        later.connect(str(path))
        later.sendall(b"the next")
        # It has taken what came before.
        while not any("the next" in line for line in heard):
            threading.Event().wait(0.01)
    assert {"heard b''\n", "heard b'the next'\n"} >= {*heard}


@pytest.mark.usefixtures("open_tmp_path")
def test_a_tree_of_an_impostor_does_not_run(impostor: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPTREE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    paths = TreePaths.of("t")
    paths.make()
    paths.run_file.write_text("{}")
    paths.control_socket.symlink_to(impostor[0])
    assert [] == running_trees()


def test_env_from_is_no_link_and_in_no_folder_that_a_less_trusted_user_can_change(secret: Path, theirs: Path, tmp_path: Path) -> None:
    secret.chmod(0o600)
    assert {"KEY": "hidden-word"} == read_env_file(str(secret))
    planted = theirs / "env"
    planted.symlink_to(secret)
    (tmp_path / "link").symlink_to(secret)
    (theirs / "folder").symlink_to(tmp_path)
    (theirs / "moved").mkdir()
    os.link(secret, theirs / "moved" / "env")
    for path, why in (
        (planted, "could be replaced by somebody else: .*theirs belongs to user nobody"),
        (theirs / "folder" / "shadow", "could be replaced by somebody else"),
        (theirs / "moved" / "env", "could be replaced by somebody else"),
        (tmp_path / "link", "is a link: name the file that it leads to"),
    ):
        with pytest.raises(EnvFileRefused, match=why) as refused:
            read_env_file(str(path))
        assert "hidden-word" not in str(refused.value)
    wide = tmp_path / "wide"
    wide.mkdir()
    os.link(secret, wide / "env")
    for mode in (0o777, 0o775):
        wide.chmod(mode)
        os.chown(wide, 0, NOBODY.pw_gid)
        with pytest.raises(EnvFileRefused, match=r"may put something in the place of what is in .*wide \(chmod go-w it\)"):
            read_env_file(str(wide / "env"))


def test_check_says_that_the_agents_user_could_replace_its_env_from(theirs: Path, tmp_path: Path) -> None:
    env = theirs / "env"
    env.write_text("A=1\n")
    env.chmod(0o600)
    os.chown(env, 0, 0)
    file = tmp_path / "t.toml"
    file.write_text(TREE + f'user = "nobody"\nenv_from = "{env}"\n')
    done = subprocess.run([SUPTREE, "check", str(file)], capture_output=True, text=True, timeout=60, check=False)
    assert (2, True) == (done.returncode, "could be replaced by somebody else" in done.stdout + done.stderr)


def test_a_folder_of_a_private_group_is_its_users_alone(tmp_path: Path) -> None:
    """Where every user has a group of the same name, umask 002 is usual."""
    folder = tmp_path / "f"
    folder.mkdir()
    folder.chmod(0o775)
    os.chown(folder, 0, NOBODY.pw_gid)
    with pytest.raises(FolderNotTrusted), trusted_folder(folder, own=True):
        pass
    os.chown(folder, 0, 0)
    with trusted_folder(folder, own=True) as descriptor:
        assert folder.samefile(f"/proc/self/fd/{descriptor}")


@pytest.fixture
def groups_asked_anew() -> Iterator[None]:
    is_private_group.cache_clear()
    yield
    is_private_group.cache_clear()


@pytest.mark.usefixtures("groups_asked_anew")
def test_a_group_that_another_account_has_as_its_own_is_not_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "t.toml"
    file.touch()
    file.chmod(0o664)
    assert who_could_change(file) is None
    # Such an account stands in no list of members; some systems have ones with the group of root.
    operator = pwd.struct_passwd(("operator", "x", 11, 0, "", "/root", "/sbin/nologin"))
    accounts = [*pwd.getpwall(), operator]
    monkeypatch.setattr(pwd, "getpwall", lambda: accounts)
    is_private_group.cache_clear()
    assert f"others may write to {file} (chmod go-w it)" == who_could_change(file)


def test_an_access_list_with_another_user_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.touch()
    nobody_may_write = [(0x01, 6, 2**32 - 1), (0x02, 6, NOBODY.pw_uid), (0x04, 4, 2**32 - 1), (0x10, 6, 2**32 - 1), (0x20, 4, 2**32 - 1)]
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in nobody_may_write)
    try:
        os.setxattr(file, "system.posix_acl_access", packed)
    except OSError as error:
        pytest.skip(f"no access lists here: {error.strerror}")
    assert f"others may write to {file} (chmod go-w it)" == who_could_change(file)


NATIVE = '[agents.n]\ntype = "native_llm"\nfactory = "agents_of_n:Agent"\n'


@pytest.mark.parametrize(
    ("mode", "owner", "of_file", "expected"),
    [
        (0o755, "root", "root", []),
        (0o700, "root", "nobody", ["tree"]),
        (0o1777, "root", "root", ["agents.n.factory (line 8)"]),
        (0o777, "root", "root", ["tree", "agents.n.factory (line 8)"]),
        (0o755, "nobody", "root", ["tree", "agents.n.factory (line 8)"]),
    ],
)
def test_check_says_that_others_could_change_the_tree_file_or_put_a_module_beside_it(
    tmp_path: Path, mode: int, owner: str, of_file: str, expected: list[str]
) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    (folder / "agents_of_n.py").write_text("class Agent: ...\n")
    file = folder / "t.toml"
    file.write_text(TREE + NATIVE)
    file.chmod(0o644)
    folder.chmod(mode)
    for path, user in ((folder, owner), (file, of_file)):
        if user == "nobody":
            given_away(path)
    done = subprocess.run([SUPTREE, "check", str(file)], capture_output=True, text=True, timeout=60, check=False)
    warned = [line.partition(": warning: ")[0].removeprefix(f"{file}: ") for line in done.stderr.splitlines() if "others could" in line]
    assert (0, expected) == (done.returncode, [place.partition(" (")[0] if place.startswith("tree") else place for place in warned]), done


def test_a_tree_file_within_reach_of_others_is_still_started_and_up_says_so(tmp_path: Path) -> None:
    """A module that another user has put there is imported before the standard library's: the warning is all that is between them."""
    (tmp_path / "t.toml").write_text(TREE)
    given_away(tmp_path / "t.toml")
    done = subprocess.run(
        [SUPTREE, "up", "-d", str(tmp_path / "t.toml")],
        env={**os.environ, "SUPTREE_HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    subprocess.run(
        [SUPTREE, "down"],
        env={**os.environ, "SUPTREE_HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert f"others could change it: {tmp_path / 't.toml'} belongs to user nobody" in done.stderr, done
