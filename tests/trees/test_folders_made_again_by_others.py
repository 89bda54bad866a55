"""A folder of ours under /tmp that a cleaner removed and that another user made again: nothing of ours writes, reads or removes there."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.base.messages import Begin, Context, Services
from suptree.actors.deaths import post_mortem_files
from suptree.actors.deaths.death_recorder import Deaths
from suptree.actors.errors import SuptreeError
from suptree.actors.events.entry import entry_now
from suptree.actors.events.event_types import Exited, Kind, Started, Starting
from suptree.actors.exits import Exit, ExitClass
from suptree.actors.kernel.lossy_file import LossyFile
from suptree.actors.kernel.private_files import (
    bind_private,
    make_shared,
    open_nameless,
    open_to_read,
    remove_folder,
    remove_private,
    tighten,
)
from suptree.actors.kernel.trusted_folder import make_own
from suptree.actors.native.checkpoint_file import CheckpointFile, CheckpointRefused
from suptree.actors.notify.notification import NOTIFY_SOCKET, Pinger
from suptree.actors.notify.notify_socket import NotifySocket
from suptree.actors.output.log_reader import follow_log, tail
from suptree.actors.record.journal import Journal, lives_before
from suptree.actors.record.journal_file import set_aside
from suptree.control import ProcessManager
from suptree.control.door.listeners import listen_on_path
from suptree.control.launcher.keeper import have_folder
from suptree.control.trees.paths import TreePaths
from suptree.control.trees.run_file import recorded
from suptree.control.trees.secret_file import SecretFile
from suptree.control.trees.standing import lock_holder
from suptree.control.trees.tree_lock import TreeLock
from suptree.supervisors.actor.place import AtTheTop
from suptree.testing import kill
from tests.access.other_user import NOBODY, needs_root
from tests.polling import poll_until

pytestmark = needs_root

CHECKPOINT = {"agent": "x", "factory": "m:f", "state": "chosen by another"}
STARTED = entry_now(Started(Kind.AGENT, "x", 1), "root", source="root", serial=1)
AGENTS = str(Path(__file__).parents[1] / "agents")


def give_away(path: Path) -> None:
    for each in (path, *path.rglob("*")):
        os.chown(each, NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)


def seen(folder: Path) -> dict[str, Any]:
    """All that stands below a folder: its mode, owner and content."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        there = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(there.st_mode) else None
        found[str(path)] = (stat.filemode(there.st_mode), there.st_uid, there.st_ino, content)
    return found


def fill(state: Path) -> None:
    """A state folder, with everything in it that could be taken for ours."""
    for name in ("logs", "checkpoints", "post-mortems", "unsealed", "runtime"):
        (state / name).mkdir(parents=True)
    (state / "logs" / "x.log").write_text("2026-01-01T00:00:00.000Z #1 out theirs\n")
    (state / "logs" / "x.log.1").write_text("kept\n")
    (state / "checkpoints" / "x.json").write_text(json.dumps(CHECKPOINT))
    (state / "token").write_text("0" * 43)
    (state / "run.json").write_text("{}")
    (state / "lock").touch()
    (state / "runtime" / "control.sock").touch()
    for number in range(20):
        (state / "post-mortems" / f"x-{number}-20260101T000000000Z.txt").write_text("kept\n")
    journal = Journal(state / "journal.sqlite")
    journal.begin_run("theirs")
    journal.append(1, STARTED, {"id": "x", "incarnation": 7, "restarts": 7})
    journal.close()
    for path in (state, *state.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o600)


Place = tuple[Path, Path]


@pytest.fixture(params=["a link above", "a folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The state folder of a tree as another user has made it again in a sticky folder, and what is not to be touched."""
    wide = tmp_path / "wide"
    wide.mkdir()
    wide.chmod(0o1777)
    theirs = wide / "suptree-abc"
    theirs.mkdir(mode=0o755)
    if request.param == "a folder":
        fill(theirs / "trees" / "embedded")
    else:
        fill(tmp_path / "elsewhere" / "embedded")
        (theirs / "trees").symlink_to(tmp_path / "elsewhere")
    give_away(theirs)
    return theirs / "trees" / "embedded", tmp_path


def paths(state: Path) -> TreePaths:
    return TreePaths("embedded", state, state / "runtime")


def write_journal(state: Path) -> None:
    journal = Journal(state / "journal.sqlite")
    journal.begin_run("ours")
    journal.append(1, STARTED, None)
    assert ([], 1) == (list(journal.events()), journal.state()["waiting"])
    journal.close()


def write_post_mortem(state: Path) -> None:
    deaths = Deaths("t", str(state))
    deaths.hear(entry_now(Starting(Kind.AGENT, "x", 1, restarts=0, actor_pid=5), "root", source="root", serial=1))
    end = Exited(Kind.AGENT, "x", 1, exit=Exit(ExitClass.CRASH, "SIGSEGV"))
    deaths.hear(entry_now(end, "root", source="root", serial=2))


def rotate(state: Path) -> None:
    file = LossyFile(state / "logs" / "x.log", lambda _count, _why: b"")
    file.append(b"ours\n")
    file.rotate()
    assert 5 == file.losses.total


def take(state: Path) -> None:
    said: list[str] = []
    assert [] == CheckpointFile(str(state), "x", 1, "m:f").take(said.append)
    assert "and cannot be set aside" in said[0]


def follow(state: Path) -> None:
    async def first() -> None:
        async with contextlib.aclosing(follow_log(state / "new" / "x.log", 1)) as lines:
            await asyncio.wait_for(anext(lines), 0.2)

    asyncio.run(first())


def clean_up(state: Path) -> None:
    context = Context("t", "run", str(state), str(state / "runtime"), shared_dir=str(state / "logs"))
    AtTheTop(Begin("top", 1, 0, None, context, Services())).clean_up()


def bind(state: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unbound:
        bind_private(unbound, state / "runtime" / "stdio")


ACTS: dict[str, Callable[[Path], object]] = {
    "make a folder": lambda state: make_own(state / "new"),
    "have a folder": lambda state: have_folder(state / "runtime"),
    "make a folder for sockets": lambda state: make_shared(state / "shared"),
    "write a log": rotate,
    "read a log": lambda state: tail(state / "logs" / "x.log", 1),
    "change a log": lambda state: open_to_read(state / "logs" / "x.log", write=True),
    "keep a long line": lambda state: open_nameless(state / "logs"),
    "follow a log": follow,
    "write a checkpoint": lambda state: CheckpointFile(str(state), "x", 1, "m:f").write("{}"),
    "restore a checkpoint": take,
    "delete a checkpoint": lambda state: CheckpointFile(str(state), "x").forget(),
    "write the journal": write_journal,
    "set the journal aside": lambda state: set_aside(state / "journal.sqlite", "test"),
    "write a post-mortem": write_post_mortem,
    "remove a file": lambda state: remove_private(state / "runtime" / "control.sock"),
    "remove a folder": lambda state: remove_folder(state / "runtime"),
    "remove an ephemeral tree": lambda state: paths(state).remove(),
    "clean up after a launcher": clean_up,
    "tighten": tighten,
    "make a token": lambda state: SecretFile(state / "new", "-").ensure(b"x"),
    "replace a token": lambda state: SecretFile(state / "token", "-").replace(b"x"),
    "read a token": lambda state: SecretFile(state / "token", "-").read(),
    "take the lock": lambda state: TreeLock(paths(state)).take(),
    "listen for commands": lambda state: listen_on_path(state / "runtime" / "control.sock"),
    "listen for pings": lambda state: NotifySocket.at(state / "runtime" / "notify.sock", NOBODY.pw_uid),
    "listen for a client": bind,
}
REFUSALS = (OSError, SuptreeError, CheckpointRefused)
RETURNS = {
    "write a log", "restore a checkpoint", "write the journal", "write a post-mortem", "remove a folder", "remove an ephemeral tree",
    "clean up after a launcher",
}  # fmt: skip


@pytest.mark.parametrize("what", ACTS)
def test_nothing_is_written_read_or_removed_there(what: str, place: Place) -> None:
    state, around = place
    before = seen(around)
    if what in RETURNS:
        ACTS[what](state)
    else:
        with pytest.raises(REFUSALS, match=r"belongs to user nobody|cannot be"):
            ACTS[what](state)
    assert before == seen(around)


def test_nothing_that_stands_there_is_believed(place: Place) -> None:
    state, _ = place
    assert (None, None) == (recorded(paths(state)), lock_holder(paths(state)))
    assert {} == lives_before(state / "journal.sqlite", "theirs", ["x"])
    assert [] == [each for each in post_mortem_files.places(state) if each.read() is not None]


@pytest.mark.parametrize("kind", ["a link above", "a folder"])
def test_no_status_is_said_to_a_socket_there(kind: str, short_folder: Path) -> None:
    """In a short path, for that of a socket may have 107 bytes."""
    theirs, ours = short_folder / "w" / "s", short_folder / "ours"
    theirs.mkdir(parents=True)
    theirs.parent.chmod(0o1777)
    ours.mkdir()
    if kind == "a folder":
        (theirs / "r").mkdir()
    else:
        (short_folder / "e").mkdir()
        (theirs / "r").symlink_to(short_folder / "e")
    give_away(theirs)
    heard = []
    for folder in (theirs / "r", ours):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(folder / NOTIFY_SOCKET))
            listener.setblocking(False)
            pinger = Pinger(str(folder))
            pinger.ping()
            pinger.say("a word for the tree")
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.append(listener.recv(100))
    assert [b"WATCHDOG=1", b"STATUS=a word for the tree"] == heard


@pytest.mark.parametrize("name", ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"])
def test_a_journal_that_another_user_has_put_into_a_folder_of_ours_is_set_aside(name: str, tmp_path: Path) -> None:
    fill(tmp_path / "state")
    (tmp_path / "state" / name).touch()
    give_away(tmp_path / "state" / name)
    assert {} == lives_before(tmp_path / "state" / "journal.sqlite", "theirs", ["x"])
    journal = Journal(tmp_path / "state" / "journal.sqlite")
    assert (0, []) == (journal.begin_run("theirs"), journal.rows())
    journal.close()
    assert os.path.lexists(tmp_path / "state" / name.replace("sqlite", "sqlite.damaged"))


def test_a_checkpoint_that_another_user_has_put_into_a_folder_of_ours_is_not_restored(tmp_path: Path) -> None:
    fill(tmp_path)
    kept = CheckpointFile(str(tmp_path), "x", 1, "m:f")
    assert ["chosen by another"] == kept.take(print)
    kept.restored()
    give_away(tmp_path / "checkpoints" / "x.json")
    said: list[str] = []
    assert [] == kept.take(said.append)
    assert f"its last checkpoint is not restored: it cannot be read: {tmp_path}/checkpoints/x.json belongs to user nobody" in said[0]


def test_an_embedded_tree_whose_home_another_user_has_made_again_touches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = tmp_path / "wide"
    wide.mkdir()
    wide.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(wide))
    monkeypatch.syspath_prepend(AGENTS)
    elsewhere = tmp_path / "elsewhere"
    fill(elsewhere / "embedded")
    planted = tmp_path / "wide" / "planted"
    planted.mkdir(mode=0o755)
    (planted / "trees").symlink_to(elsewhere)
    give_away(planted)
    before = seen(elsewhere)

    async def run() -> None:
        async with ProcessManager() as pm:
            await pm.start_agent("x", "process_wrapper", {"command": "cat", "stdin": "pipe", "restart": "permanent"})
            await pm.start_agent("n", "native_llm", {"factory": "asked_agents:Counter", "restart": "permanent"})
            (scratch,) = (path for path in wide.iterdir() if path != planted)

            def is_taken() -> bool:
                # The launcher may be faster, and make the folder again in between.
                shutil.rmtree(scratch, ignore_errors=True)
                with contextlib.suppress(OSError):
                    planted.rename(scratch)
                return not planted.exists()

            await asyncio.to_thread(poll_until, is_taken, 20.0)
            await pm.tell("x", "hello")
            await pm.ask("n", "count")
            # A death leads to a post-mortem, and a new life to a log and to a checkpoint that is restored.
            died = pm.get_all_agents()["x"].pid
            assert died is not None
            kill(died)
            assert await pm.restart_agent("n")
            await asyncio.to_thread(poll_until, lambda: pm.get_all_agents()["x"].pid not in (died, None), 20.0)
            assert 1 == await pm.ask("n", "count")

    asyncio.run(run())
    assert before == seen(elsewhere)
