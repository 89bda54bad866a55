"""The files of a tree's state folder, edited at random while it is down: their readers say what is wrong, or go on without."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from suptree.actors.deaths.post_mortem_files import places
from suptree.actors.errors import SuptreeError
from suptree.actors.output.log_reader import tail, tail_of
from suptree.actors.output.output_log import log_path
from suptree.actors.spec.env_file import EnvFileRefused, read_env_file
from suptree.control.door.tokens import TokenFile
from suptree.control.seal.tree_key import key_path, tree_key
from suptree.control.trees.last_run import how_it_ended
from suptree.control.trees.paths import TreePaths
from suptree.control.trees.run_file import recorded

_LOGGED = b"2026-11-27T00:10:42.000Z #7 out said\n2026-11-27T00:10:43.000Z #8 err failed\n"
_ENDED = b'{"event": "tree_gave_up", "timestamp": "now", "story": ["root exited"]}\n{"event": "tree_ended", "status": 0}\n'


class StateDriver:
    """The first byte says which file, the rest is what it holds."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="suptree-fuzz-")
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
            (deaths, lambda: [place.read() for place in places(state)]),
            (env, lambda: read_env_file(str(env))),
        ]

    def feed(self, data: bytes) -> None:
        """Write one file, and have it read by its reader."""
        if not data:
            return
        path, read = self._readers[data[0] % len(self._readers)]
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
    return [bytes([number]) + text for number, text in enumerate(texts)]
