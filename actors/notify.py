"""The sd_notify protocol: what a datagram says, and how to send one (sd_notify(3))."""

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

NOTIFY_SOCKET = "notify.sock"
DATAGRAM_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Notification:
    """One datagram, understood. `pinged` is `WATCHDOG=1`."""

    ready: bool = False
    pinged: bool = False
    trigger: bool = False
    stopping: bool = False
    status: str | None = None


def parse(datagram: bytes) -> Notification | None:
    """What a datagram says; None when it is not of the protocol. Unknown assignments are skipped, as systemd does."""
    try:
        text = datagram.decode("utf-8")
    except UnicodeDecodeError:
        return None
    said: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if not equals or not key:
            return None
        said[key] = value
    if not said:
        return None
    return Notification(
        ready=said.get("READY") == "1",
        pinged=said.get("WATCHDOG") == "1",
        trigger=said.get("WATCHDOG") == "trigger",
        stopping=said.get("STOPPING") == "1",
        status=said.get("STATUS"),
    )


class Pinger:
    """Sends `WATCHDOG=1` to the heartbeat actor; never blocks, and a datagram that finds nobody is lost."""

    def __init__(self, runtime_dir: str) -> None:
        self._path = str(Path(runtime_dir) / NOTIFY_SOCKET)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def ping(self) -> None:
        """One sign of life from this process."""
        with contextlib.suppress(OSError):
            self._socket.sendto(b"WATCHDOG=1", self._path)
