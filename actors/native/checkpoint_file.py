"""The file that holds the last checkpoint of an agent: what of its state survives it."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..kernel.private_files import open_to_read, remove_private, rename_private, write_private
from ..kernel.trusted_folder import make_own

CHECKPOINT_LIMIT = 1024 * 1024
"""How many bytes a checkpoint has at most, as JSON."""


class CheckpointRefused(Exception):
    """A checkpoint cannot be written or used; the text says why."""


class CheckpointFile:
    """The checkpoints of one agent. The file is its owner's alone (0600), is replaced as a whole, and holds JSON.

    One that cannot be restored is set aside as `ID~refused.json`, so that it is not tried for ever. While it is being restored it is called
    `ID~restoring.json`: a process that finds such a file knows that the attempt ended the one before. No id has a `~`.
    """

    def __init__(self, state_dir: str, agent_id: str, incarnation: int = 0, factory: str | None = None) -> None:
        self._folder = Path(state_dir) / "checkpoints"
        self._path, self._restoring, self._refused, self._new = (
            self._folder / f"{agent_id}{suffix}.json" for suffix in ("", "~restoring", "~refused", "~new")
        )
        self._made_by = {"agent": agent_id, "factory": factory}
        self._incarnation = incarnation
        self._written: str | None = None

    def text_of(self, state: Any) -> str | None:
        """What is to be written of a state; None when nothing has changed since the last. Raises CheckpointRefused."""
        try:
            text = json.dumps(state, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise CheckpointRefused(f"it is not what JSON can express: {error}") from None
        if text == self._written:
            return None
        if len(text) > CHECKPOINT_LIMIT:
            raise CheckpointRefused(f"it has {len(text)} bytes, more than {CHECKPOINT_LIMIT}")
        return text

    def write(self, text: str) -> None:
        """Replace the last checkpoint; blocks for as long as the disk does. Raises CheckpointRefused, and keeps the last."""
        head = json.dumps({**self._made_by, "incarnation": self._incarnation, "at": datetime.now(UTC).isoformat(timespec="milliseconds")})
        try:
            # Not synced to the disk, which could block: it survives whatever happens to us, but not a power failure in these seconds.
            self._put(f'{head[:-1]}, "state": {text}}}\n'.encode())
        except OSError as error:
            raise CheckpointRefused(f"it cannot be written: {error.strerror}") from None
        self._written = text

    def take(self, say: Callable[[str], None]) -> list[Any]:
        """The state to restore, if there is one that can be, alone in a list; one that cannot is set aside, and `say` called with why."""
        if os.path.lexists(self._restoring):
            self._set_aside(self._restoring, "restoring it ended the process", say)
            return []
        try:
            state = self._state_in(json.loads(self._read()))
            rename_private(self._path, self._restoring)
        except FileNotFoundError:
            return []
        except (ValueError, RecursionError):
            self._set_aside(self._path, "it is not JSON", say)
            return []
        except CheckpointRefused as refusal:
            self._set_aside(self._path, str(refusal), say)
            return []
        except OSError as error:
            self._set_aside(self._path, f"it cannot be read: {error.strerror}", say)
            return []
        return [state]

    def restored(self) -> None:
        """It was: it is the last one again."""
        rename_private(self._restoring, self._path)

    def refuse(self, why: str, say: Callable[[str], None]) -> None:
        """It could not be restored: set it aside."""
        self._set_aside(self._restoring, why, say)

    def forget(self) -> None:
        """Delete all that is kept of the agent."""
        for path in (self._path, self._restoring, self._refused, self._new):
            remove_private(path)

    def _put(self, content: bytes) -> None:
        try:
            write_private(self._path, content, self._new)
        except FileNotFoundError:
            make_own(self._folder)
            write_private(self._path, content, self._new)

    def _state_in(self, kept: Any) -> Any:
        if not isinstance(kept, dict) or "state" not in kept:
            raise CheckpointRefused("it is no checkpoint")
        if {key: kept.get(key) for key in self._made_by} != self._made_by:
            raise CheckpointRefused(f"it is of {kept.get('agent')!r}, made by {kept.get('factory')!r}")
        return kept["state"]

    def _read(self) -> str:
        with open_to_read(self._path) as file:
            data = file.read(2 * CHECKPOINT_LIMIT)
        if len(data) == 2 * CHECKPOINT_LIMIT:
            raise CheckpointRefused(f"it is longer than {CHECKPOINT_LIMIT} bytes")
        return data.decode()

    def _set_aside(self, path: Path, why: str, say: Callable[[str], None]) -> None:
        try:
            rename_private(path, self._refused)
            where = f"set aside as {self._refused}"
        except OSError as error:
            where = f"and cannot be set aside: {error.strerror}"
        say(f"its last checkpoint is not restored: {why}; {where}")
