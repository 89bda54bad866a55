"""The files of a tree's state folder, edited at random while it is down: their readers say what is wrong, or go on without."""

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from suptree.actors.deaths.death_recorder import Deaths
from suptree.actors.deaths.explanation import deaths_of, explanation_after_the_run, screen
from suptree.actors.errors import SuptreeError, UnknownEvent
from suptree.actors.events.entry import Entry, decode
from suptree.actors.events.event_types import Kind, Started, Starting
from suptree.actors.events.picture import Picture
from suptree.actors.output.log_reader import tail, tail_of
from suptree.actors.output.output_log import log_path
from suptree.actors.record.journal import Journal, lives_before
from suptree.actors.spec.env_file import EnvFileRefused, read_env_file
from suptree.control.api.json_answer import JsonAnswer
from suptree.control.door.tokens import TokenFile
from suptree.control.seal.tree_key import key_path, tree_key
from suptree.control.trees.last_run import how_it_ended
from suptree.control.trees.paths import TreePaths
from suptree.control.trees.run_file import recorded

_LOGGED = b"2026-11-27T00:10:42.000Z #7 out said\n2026-11-27T00:10:43.000Z #8 err failed\n"
_ENDED = (
    b'{"event": "tree_gave_up", "timestamp": "now", "why": "root exited", "story": ["root exited"]}\n{"event": "tree_ended", "status": 0}\n'
)


_RUN = "run"
_STARTED = Entry(
    event=Started(Kind.AGENT, "a", 1), supervisor="root", at="2026-01-02T03:04:05.000Z", monotonic=1.0, source="run:root", serial=1
)
_PUT_INTO_JOURNAL = (
    "UPDATE events SET event = ? WHERE seq = 2",
    "INSERT INTO rows VALUES ('b', ?)",
    "UPDATE rows SET row = ? WHERE id = 'a'",
    "INSERT INTO rows VALUES (?, '{}')",
    "UPDATE events SET source = ?, serial = 7 WHERE seq = 1",
    "UPDATE events SET serial = CAST(? AS TEXT) WHERE seq = 1",
    "UPDATE runs SET first_seq = ?",
    "INSERT INTO heard VALUES ('run:root', ?)",
)


class EditedJournal:
    """A journal of a few events, edited, and then used as a registry uses one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write(Journal(path), 1, 5)
        self._good = path.read_bytes()

    def use(self, edit: bytes) -> None:
        """The first byte says what is edited. The journal goes on, and holds what is written next."""
        which, text = (edit[0], edit[1:]) if edit else (0, b"")
        for path in self._path.parent.glob(f"{self._path.name}*"):
            path.unlink()
        if which < 64:
            place = int.from_bytes(text[:2], "little") * 16 % len(self._good)
            self._path.write_bytes(self._good[:place] + text[2:] + self._good[place + len(text) - 2 :])
        elif which < 80:
            self._path.write_bytes(text)
        else:
            self._path.write_bytes(self._good)
            with contextlib.closing(sqlite3.connect(self._path)) as db, contextlib.suppress(sqlite3.IntegrityError), db:
                db.execute(
                    _PUT_INTO_JOURNAL[which % len(_PUT_INTO_JOURNAL)], (text.decode("utf-8", "replace") if which % 16 < 8 else text,)
                )
        lives_before(self._path, _RUN, ("a", "b"))
        journal = Journal(self._path)
        seq = journal.begin_run(_RUN)
        picture = Picture(journal.rows())
        journal.picture = picture.rows.values
        for said in journal.events(after=journal.before_run):
            with contextlib.suppress(UnknownEvent):
                picture.apply(decode(said))
        self._write(journal, seq + 1, seq + 2)
        with contextlib.closing(Journal(self._path)) as again:
            assert f"writer {seq + 1}" in {said.get("supervisor") for said in again.events()}, again.state()

    @staticmethod
    def _write(journal: Journal, first: int, end: int) -> None:
        with contextlib.closing(journal):
            journal.begin_run(_RUN)
            for seq in range(first, end):
                journal.append(seq, replace(_STARTED, supervisor=f"writer {seq}", serial=seq), {"id": "a", "incarnation": 1, "restarts": 0})
            journal.flush()
            assert journal.state()["why"] is None, journal.state()


_ENDED_BELOW: dict[str, Any] = {
    "id": "a", "kind": "agent", "supervisor": "root", "incarnation": 1, "last_exit": {"class": "crash", "reason": "supervisor root ended"},
}  # fmt: skip


def _explained(state: Path) -> list[str]:
    """What `explain` shows, and the registry that finds there the evidence of a death."""
    deaths = Deaths("t", str(state))
    deaths.remember(replace(_STARTED, event=Starting(Kind.AGENT, "a", 1, restarts=0, actor_pid=7)))
    deaths.ended_below(_ENDED_BELOW, replace(_STARTED, at="2026-11-27T00:10:42.000Z"))
    found = deaths_of(state, "a")
    JsonAnswer(found)
    return screen(explanation_after_the_run("t", "a", found))


class StateDriver:
    """The first byte says which file, the rest is what it holds."""

    def __init__(self) -> None:
        # In memory, where there is a place for it: SQLite waits for a disk.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self._folder = tempfile.TemporaryDirectory(prefix="suptree-fuzz-", dir=memory)
        home = Path(self._folder.name)
        self._paths = TreePaths("t", home / "trees" / "t", home / "run")
        state = self._paths.state
        logs, deaths = log_path(str(state), "a"), state / "post-mortems" / "a-1-20261127T001042000Z.txt"
        for folder in (logs.parent, deaths.parent):
            folder.mkdir(parents=True, mode=0o700)
        env = state / "env"
        self._readers: list[tuple[Path, Callable[[], object]]] = [
            (self._paths.run_file, lambda: recorded(self._paths)),
            (self._paths.token_file, TokenFile(self._paths.token_file).current),
            (key_path(state), lambda: tree_key(state)),
            (self._paths.launcher_log, lambda: how_it_ended(self._paths)),
            (logs, lambda: (tail(logs, 10), tail_of(logs, 10, 7))),
            (deaths, lambda: _explained(state)),
            (env, lambda: read_env_file(str(env))),
        ]
        self._journal = EditedJournal(state / "journal.sqlite")

    def feed(self, data: bytes) -> None:
        """Write one file, and have it read by its reader."""
        if not data:
            return
        which = data[0] % (len(self._readers) + 1)
        if which == len(self._readers):
            self._journal.use(data[1:])
            return
        path, read = self._readers[which]
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123  (a descriptor)
            file.write(data[1:])
        # What their callers expect, and say to people.
        with contextlib.suppress(SuptreeError, EnvFileRefused):
            read()


def seeds() -> list[bytes]:
    """One for each file."""
    texts = (
        b'{"tree": "t", "run_id": "ab", "pid": 17, "socket": "/run"}\n',
        b"x" * 43 + b"\n",
        bytes(32),
        _ENDED,
        _LOGGED,
        b"a #1 exited: crash\n\n[death]\n{}\n",
        b"A=1\nexport B='x'\nC=\"y\\\n\"\n",
    )
    journals = (
        b"\0\0\0SQLite",
        b"\x40no journal",
        b'\x58{"event": "agent_started"}',
        b'\x59{"id": "b", "incarnation": 1, "restarts": 0}',
        b"\x5e-1",
    )
    return [bytes([number]) + text for number, text in enumerate(texts)] + [bytes([len(texts)]) + text for text in journals]
