"""The sd_notify protocol: what a datagram says, and how to send one (sd_notify(3))."""

import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from ..kernel.private_files import folder_of

NOTIFY_SOCKET = "notify.sock"
DATAGRAM_LIMIT = 4096


_STATUS_WIDTH = 1000
_MOST_MICROSECONDS = 2**64 - 1
_SEND_TIMEOUT = struct.pack("ll", 0, 20_000)
"""20 ms, as the kernel wants it (struct timeval)."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One datagram, understood: what the agent that sent it says of itself. Times are in seconds.

    `pinged` is `WATCHDOG=1`, `trigger` is `WATCHDOG=trigger`, `watchdog` is `WATCHDOG_USEC=` (0: no pings are expected any more),
    `extend` is `EXTEND_TIMEOUT_USEC=`.
    """

    ready: bool = False
    pinged: bool = False
    trigger: bool = False
    stopping: bool = False
    status: str | None = None
    watchdog: float | None = None
    extend: float | None = None

    @property
    def changes_state(self) -> bool:
        """Whether it says more than that the agent lives."""
        return self is not PING and self not in (PING, _NOTHING)

    @property
    def says_something(self) -> bool:
        """Whether it says anything that we know."""
        return self != _NOTHING

    @property
    def waits(self) -> bool:
        """Whether the agent says that it waits, for a person or for something else that it cannot hurry: `STATUS=waiting…`."""
        return self.status is not None and self.status.startswith("waiting")


PING = Notification(pinged=True)
"""What nearly every datagram says."""
_NOTHING = Notification()


def parse(datagram: bytes) -> Notification | None:
    """What a datagram says; None when it is not of the protocol.

    Unknown assignments are skipped, `MAINPID=` and `FDSTORE=1` among them, as are values that make no sense: so does systemd. `BARRIER=1`
    needs nothing: the descriptor that comes along with a datagram is closed when that datagram has been read, and by then every earlier one
    has been handled.
    """
    if datagram == b"WATCHDOG=1":
        return PING
    try:
        # systemd permits one NUL at the end.
        text = datagram.removesuffix(b"\0").decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    said: dict[str, str] = {}
    for line in filter(None, text.split("\n")):
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
        watchdog=_seconds(said.get("WATCHDOG_USEC")),
        extend=_seconds(said.get("EXTEND_TIMEOUT_USEC")),
    )


def _seconds(microseconds: str | None) -> float | None:
    if microseconds is None or not (microseconds.isascii() and microseconds.isdecimal()) or len(microseconds) > 20:
        return None
    return int(microseconds) / 1_000_000 if int(microseconds) <= _MOST_MICROSECONDS else None


def shared_socket(shared_dir: str, user_id: int) -> Path:
    """Where an agent that runs as another user than its tree can send; that user's alone."""
    return Path(shared_dir) / f"notify-{user_id}.sock"


class Pinger:
    """Tells the heartbeat actor what an actor says of itself; blocks for a moment at most, and a ping that finds nobody is lost."""

    def __init__(self, runtime_dir: str) -> None:
        self._path = Path(runtime_dir) / NOTIFY_SOCKET
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # The kernel may queue as few as ten datagrams for the heartbeat actor. To try again later would cost far more than this wait.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIMEOUT)
        self._unsaid: bytes | None = None

    def ping(self) -> None:
        """One sign of life from this process; and its last status, if that could not be said when it was new."""
        self._send(b"WATCHDOG=1")
        if self._unsaid is not None and self._send(self._unsaid):
            self._unsaid = None

    def say(self, status: str) -> None:
        """Say a `STATUS=`: one line, cut where it is too long."""
        said = b"STATUS=" + status.encode(errors="replace")[:_STATUS_WIDTH].decode(errors="ignore").encode()
        self._unsaid = None if self._send(said) else said

    def _send(self, datagram: bytes) -> bool:
        try:
            self._socket.send(datagram)
        except BlockingIOError:
            return False
        except OSError:
            # The first, or one to a heartbeat actor that has died: there may be another.
            try:
                with folder_of(self._path):
                    self._socket.connect(str(self._path))
                self._socket.send(datagram)
            except OSError:
                return False
        return True
