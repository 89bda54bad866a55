"""The agent of live traces: starts, or does not, as its scenario says, and ends when it is asked to, as it is asked to."""

import asyncio
import socket
from pathlib import Path
from typing import Any

from suptree.actors.errors import Shutdown


def address(folder: str, agent_id: str) -> str:
    """Where an agent hears how to end."""
    return str(Path(folder) / f"{agent_id}.sock")


class LiveAgent:
    """`config`: `folder`, and `start`, what its first, second, … attempt to start does (`ok`, `error` or `ignore`; the last repeats)."""

    def __init__(self, heard: socket.socket) -> None:
        self._heard = heard

    @classmethod
    async def create(cls, agent_id: str, name: str, role: str, model: str, config: dict[str, Any]) -> "LiveAgent | None":  # noqa: ARG003
        """Make the agent, fail, or decline."""
        log = Path(config["folder"]) / f"{agent_id}.attempts"
        with log.open("a") as attempts:
            attempts.write(".")
            attempt = attempts.tell()
        match config["start"][min(attempt, len(config["start"])) - 1]:
            case "error":
                raise RuntimeError("refused")
            case "ignore":
                return None
        path = Path(address(config["folder"], agent_id))
        path.unlink(missing_ok=True)
        heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        heard.setblocking(False)
        heard.bind(str(path))
        return cls(heard)

    async def run(self) -> None:
        """End as asked: `normal`, `shutdown` or `crash`."""
        match await asyncio.get_running_loop().sock_recv(self._heard, 64):
            case b"crash":
                raise RuntimeError("crash")
            case b"shutdown":
                raise Shutdown

    async def shutdown(self) -> None:
        """Nothing to put away."""
