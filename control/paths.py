"""Where a tree keeps its files and its sockets."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from suptree.actors.errors import SuptreeError

_RUN_FILE = "run.json"


def home() -> Path:
    """`$SUPTREE_HOME`, or the platform's state directory (XDG Base Directory Specification)."""
    if given := os.environ.get("SUPTREE_HOME"):
        return Path(given).absolute()
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "suptree"


def _runtime_root() -> Path:
    """The runtime directory; where the platform has none, a folder of this user's under /tmp that nobody else can have made."""
    if given := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(given) / "suptree"
    root = Path(f"/tmp/suptree-{os.getuid()}")  # noqa: S108  (checked below)
    root.mkdir(mode=0o700, exist_ok=True)
    found = root.lstat()
    if found.st_uid != os.getuid() or not root.is_dir() or root.is_symlink():
        raise SuptreeError(f"{root} belongs to somebody else: set XDG_RUNTIME_DIR to a folder of your own")
    return root


@dataclass(frozen=True, slots=True)
class TreePaths:
    """The folders of one tree: `state` stays, `runtime` holds the sockets of the run."""

    name: str
    state: Path
    runtime: Path

    @classmethod
    def of(cls, name: str, base: Path | None = None) -> "TreePaths":
        """The folders of the tree of that name, under the present home unless another is given."""
        base = base or home()
        # A socket's path may be 107 bytes long: short names, apart for each home.
        key = hashlib.sha256(f"{base}\0{name}".encode()).hexdigest()[:16]
        return cls(name, base / "trees" / name, _runtime_root() / key)

    def make(self) -> None:
        """Create both folders, for this user alone."""
        for folder in (self.state, self.runtime):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)

    @property
    def control_socket(self) -> Path:
        """The socket of the control API."""
        return self.runtime / "control.sock"

    @property
    def run_file(self) -> Path:
        """Who runs the tree now, or ran it last."""
        return self.state / _RUN_FILE

    @property
    def lock_file(self) -> Path:
        """Locked by the launcher for as long as it lives."""
        return self.state / "lock"

    @property
    def launcher_log(self) -> Path:
        """What the launcher and the actors log, as JSON lines."""
        return self.state / "launcher.log"


def known_trees() -> list[TreePaths]:
    """Every tree that has ever run under the present home."""
    return [TreePaths.of(path.parent.name) for path in sorted((home() / "trees").glob(f"*/{_RUN_FILE}"))]
