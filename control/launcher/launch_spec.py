"""What a launcher is to run, as its one argument says it."""

import json
import os
import uuid
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, kw_only=True)
class LaunchSpec:
    """The tree of a file, or, without a file, an empty tree for a program that embeds it.

    `listen`: the address at which the control API listens on TCP too. `owner_pid`: the tree ends when that process does.
    `ephemeral`: its files are removed when it has ended.
    """

    name: str
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    file: str | None = None
    listen: str | None = None
    owner_pid: int | None = None
    ready_fd: int | None = None
    sys_path: list[str] = field(default_factory=list)
    ephemeral: bool = False

    def to_json(self) -> str:
        """The launcher's argument."""
        paths = {"file": self.file and in_utf8(self.file), "sys_path": [in_utf8(entry) for entry in self.sys_path]}
        return json.dumps({**asdict(self), **paths})


def in_utf8(text: str) -> str:
    """A path or a variable as Python has it in UTF-8 mode, in which the launcher runs; here it may have come by another encoding."""
    return os.fsencode(text).decode("utf-8", "surrogateescape")
