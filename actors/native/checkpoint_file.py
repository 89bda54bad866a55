"""The file that holds the last checkpoint of an agent: what of its state survives it."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Not synced to the disk, which could block: it survives whatever happens to us, but not a power failure in these seconds.
            with open(self._new, "w", encoding="utf-8", opener=_private) as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(f'{head[:-1]}, "state": {text}}}\n')
            self._new.replace(self._path)
        except OSError as error:
            raise CheckpointRefused(f"it cannot be written: {error.strerror}") from None
        self._written = text

    def take(self, say: Callable[[str], None]) -> list[Any]:
        """The state to restore, if there is one that can be, alone in a list; one that cannot is set aside, and `say` called with why."""
        if self._restoring.exists():
            self._set_aside(self._restoring, "restoring it ended the process", say)
            return []
        try:
            state = self._state_in(json.loads(self._read()))
            self._path.replace(self._restoring)
        except FileNotFoundError:
            return []
        except (ValueError, RecursionError):
            self._set_aside(self._path, "it is not JSON", say)
            return []
        except (CheckpointRefused, OSError) as refusal:
            self._set_aside(self._path, str(refusal), say)
            return []
        return [state]

    def restored(self) -> None:
        """It was: it is the last one again."""
        self._restoring.replace(self._path)

    def refuse(self, why: str, say: Callable[[str], None]) -> None:
        """It could not be restored: set it aside."""
        self._set_aside(self._restoring, why, say)

    def forget(self) -> None:
        """Delete all that is kept of the agent."""
        for path in (self._path, self._restoring, self._refused, self._new):
            path.unlink(missing_ok=True)

    def _state_in(self, kept: Any) -> Any:
        if not isinstance(kept, dict) or "state" not in kept:
            raise CheckpointRefused("it is no checkpoint")
        if {key: kept.get(key) for key in self._made_by} != self._made_by:
            raise CheckpointRefused(f"it is of {kept.get('agent')!r}, made by {kept.get('factory')!r}")
        return kept["state"]

    def _read(self) -> str:
        with open(self._path, "rb", opener=_private) as file:
            data = file.read(2 * CHECKPOINT_LIMIT)
        if len(data) == 2 * CHECKPOINT_LIMIT:
            raise CheckpointRefused(f"it is longer than {CHECKPOINT_LIMIT} bytes")
        return data.decode()

    def _set_aside(self, path: Path, why: str, say: Callable[[str], None]) -> None:
        try:
            path.replace(self._refused)
            where = f"set aside as {self._refused}"
        except OSError as error:
            where = f"and cannot be set aside: {error.strerror}"
        say(f"its last checkpoint is not restored: {why}; {where}")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
